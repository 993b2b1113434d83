"""Which weights become the checkpoint: the last, the best, a mean, a mixture with the base; and when to stop."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import TrainerControl, TrainerState

from asr.errors import UserError
from asr.params import Train
from asr.train.candidates import Candidates, interpolate


def weights_at(step: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(step)
    return {"a": torch.randn(3, 2, generator=generator), "b": torch.randn(4, generator=generator)}


LAST = weights_at(0)


class Training:
    """Calls a `Candidates` as Trainer does, with a checkpoint (a saved state) after each look."""

    def __init__(self, folder: Path, first: bool = True, **train_options) -> None:
        self.candidates = Candidates(folder, Train(**train_options), lambda: weights_at(self.step), first)
        self.step, self.control, self.first = 0, TrainerControl(), first
        self.saved = ""
        self.begin(TrainerState(stateful_callbacks=[self.candidates]))

    def begin(self, state: TrainerState) -> None:
        self.candidates.on_train_begin(None, state, self.control)

    def look(self, step: int, save: bool = True, **metrics) -> bool:
        """Whether the training stops there."""
        self.step = step
        state = TrainerState(global_step=step, stateful_callbacks=[self.candidates])
        self.candidates.on_evaluate(None, state, self.control, metrics)
        if save:
            self.saved = json.dumps(TrainerState(stateful_callbacks=[self.candidates]).stateful_callbacks)
            self.candidates.on_save(None, state, self.control)
        return self.control.should_training_stop

    def killed_and_resumed(self) -> "Training":
        after = Training(self.candidates.folder, self.first, **self.candidates.train.model_dump())
        after.begin(TrainerState(stateful_callbacks=json.loads(self.saved)))
        return after


def looked(folder, losses, **train_options) -> Training:
    training = Training(folder, **train_options)
    for number, loss in enumerate(losses, start=1):
        training.look(10 * number, eval_loss=loss)
    return training


def files(training: Training) -> set[str]:
    return {path.name for path in training.candidates.folder.glob("*")}


def assert_same(state, expected):
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[name], expected[name]) and state[name].dtype == torch.float32 for name in state)


def test_the_last_weights_are_taken_as_they_are_and_nothing_is_stored(tmp_path):
    training = looked(tmp_path / "none", [3.0, 1.0, 2.0])
    assert training.candidates.result(LAST) is LAST
    assert training.candidates.chosen == [30]
    assert not (tmp_path / "none").exists()


def test_the_best_is_the_look_with_the_lowest_loss(tmp_path):
    training = looked(tmp_path, [3.0, 1.0, 2.0], select="loss")
    assert training.candidates.chosen == [20]
    assert_same(training.candidates.result(LAST), weights_at(20))
    assert files(training) == {"step-20.safetensors"}


def test_the_best_by_word_errors_is_not_the_best_by_loss(tmp_path):
    training = Training(tmp_path, select="wer")
    training.look(10, eval_loss=1.0, eval_wer=0.5)
    training.look(20, eval_loss=2.0, eval_wer=0.4)
    assert_same(training.candidates.result(LAST), weights_at(20))


def test_of_equal_scores_the_earlier_is_better(tmp_path):
    assert looked(tmp_path, [2.0, 1.0, 1.0], select="loss").candidates.chosen == [20]


@pytest.mark.parametrize(("select", "steps"), [("last", [40, 30, 20]), ("loss", [30, 10, 40])])
def test_a_mean_is_numpys(tmp_path, select, steps):
    training = looked(tmp_path, [2.0, 9.0, 1.0, 3.0], select=select, average=3)
    assert training.candidates.chosen == steps
    assert files(training) == {f"step-{step}.safetensors" for step in steps}
    result = training.candidates.result(LAST)
    for name in LAST:
        expected = np.mean([weights_at(step)[name].numpy().astype(np.float64) for step in steps], axis=0)
        np.testing.assert_array_equal(result[name].numpy(), expected.astype(np.float32))


def test_a_mean_of_more_looks_than_there_were_is_of_all(tmp_path):
    training = looked(tmp_path, [2.0], select="loss", average=5)
    assert_same(training.candidates.result(LAST), weights_at(10))


def test_a_mean_of_the_last_needs_no_scores(tmp_path):
    training = Training(tmp_path, average=2)
    for step in (10, 20, 30):
        training.look(step)
    assert training.candidates.chosen == [30, 20]
    assert files(training) == {"step-20.safetensors", "step-30.safetensors"}


def test_a_loss_that_is_no_number_is_never_the_best(tmp_path):
    assert looked(tmp_path, [math.nan, 2.0, math.inf], select="loss").candidates.chosen == [20]


def test_without_any_score_the_last_weights_are_taken(tmp_path):
    assert looked(tmp_path, [math.nan], select="loss").candidates.result(LAST) is LAST


def test_training_stops_after_so_many_looks_that_were_no_better(tmp_path):
    training = Training(tmp_path, select="loss", patience=2)
    stops = [training.look(step, eval_loss=loss) for step, loss in enumerate([3.0, 2.0, 2.5, 1.9, 1.9, 1.95], start=1)]
    assert stops == [False, False, False, False, False, True]
    assert training.candidates.chosen == [4]


def test_without_patience_training_goes_on(tmp_path):
    training = Training(tmp_path, select="loss")
    assert not any(training.look(step, eval_loss=float(step)) for step in range(1, 20))


def test_all_processes_decide_alike_and_only_the_first_writes(tmp_path):
    options = {"select": "loss", "patience": 1}
    first, second = (Training(tmp_path / name, name == "first", **options) for name in ("first", "second"))
    for step, loss in enumerate([2.0, 1.0, 3.0], start=1):
        assert first.look(step, eval_loss=loss) == second.look(step, eval_loss=loss) == (step == 3)
    assert first.candidates.chosen == second.candidates.chosen == [2]
    assert files(first) and not files(second)


def test_a_resumed_training_knows_its_looks_and_finds_its_files(tmp_path):
    training = looked(tmp_path, [1.0, 2.0], select="loss", patience=2).killed_and_resumed()
    assert not training.control.should_training_stop
    assert training.look(30, eval_loss=3.0)
    assert_same(training.candidates.result(LAST), weights_at(10))


def test_a_kill_between_a_look_and_its_checkpoint_loses_no_file(tmp_path):
    training = looked(tmp_path, [2.0], select="loss")
    training.look(20, save=False, eval_loss=1.0)
    resumed = training.killed_and_resumed()
    assert resumed.candidates.chosen == [10]
    assert_same(resumed.candidates.result(LAST), weights_at(10))
    resumed.look(20, eval_loss=1.0)
    assert_same(resumed.candidates.result(LAST), weights_at(20))
    assert files(resumed) == {"step-20.safetensors"}


def test_a_training_that_was_killed_as_its_patience_ended_stops_at_once_when_resumed(tmp_path):
    training = looked(tmp_path, [1.0, 2.0], select="loss", patience=1).killed_and_resumed()
    assert training.control.should_training_stop
    assert training.look(30, eval_loss=0.5)
    assert training.candidates.chosen == [10]


def test_a_file_that_someone_removed_is_named(tmp_path):
    training = looked(tmp_path, [1.0], select="loss")
    (tmp_path / "step-10.safetensors").unlink()
    with pytest.raises(UserError, match=r"step-10\.safetensors is missing"):
        training.candidates.result(LAST)


@pytest.mark.parametrize(("keep_base", "expected"), [(0.0, [1.0, 0.1]), (1.0, [2.0, 0.1]), (0.5, [1.5, 0.1])])
def test_the_base_is_kept_by_its_share(keep_base, expected):
    tuned, base = torch.tensor([1.0, 0.1]), torch.tensor([2.0, 0.1])
    found = interpolate({"a": tuned}, {"a": base, "head": base}, keep_base)
    assert found["a"].tolist() == torch.tensor(expected).tolist()


def test_weights_that_training_left_alone_are_not_touched_by_any_share():
    state = weights_at(1)
    for keep_base in (0.1, 0.3, 0.7):
        assert_same(interpolate(state, weights_at(1), keep_base), state)


def test_a_base_in_half_precision_is_kept_in_float32():
    base = {"a": torch.tensor([0.5], dtype=torch.float16)}
    assert_same(interpolate({"a": torch.tensor([1.0])}, base, 1.0), {"a": torch.tensor([0.5])})
