"""The curves of a training: their points, what is said of them, and that they go on after an interruption."""

import json
from types import SimpleNamespace

import pytest

from asr.errors import UserError
from asr.train import curves as module
from asr.train.curves import Curves

CLIPS_PER_STEP = 8.0


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


class Training:
    """What Trainer does with a callback; a step takes 2 s, of which it waits for 0.5 s."""

    def __init__(self, clock: Clock, max_steps: int, kept: str | None = None, is_first: bool = True) -> None:
        self.clock, self.points = clock, []
        self.curves = Curves(lambda metrics, step: self.points.append((step, metrics)), CLIPS_PER_STEP, is_first)
        attributes = json.loads(kept) if kept else {"global_step": 0, "stateful_callbacks": {}}
        self.state = SimpleNamespace(max_steps=max_steps, **attributes)
        self.curves.on_train_begin(None, self.state, None)

    def steps(self, *losses: float) -> None:
        for loss in losses:
            self.clock.now_s += 2
            self.curves.waited_s += 0.5
            self.state.global_step += 1
            self.curves.on_log(None, self.state, None, {"loss": loss, "learning_rate": 1e-5, "grad_norm": 0.5})

    def look(self, **found: float) -> None:
        self.clock.now_s += 10
        self.curves.on_log(None, self.state, None, {"eval_s": 10.0, **found})

    def kept(self) -> str:
        """What a checkpoint of Trainer has of it."""
        state = {"global_step": self.state.global_step, "stateful_callbacks": {"Curves": self.curves.state()}}
        return json.dumps(state)


def test_a_point_is_the_mean_of_the_steps_since_the_one_before(clock, monkeypatch):
    monkeypatch.setattr(module, "N_POINTS", 2)
    training = Training(clock, max_steps=4)
    training.steps(3.0, 1.0, 0.5, 0.1)
    assert [step for step, _ in training.points] == [2, 4]
    assert training.points[0][1] == {
        "train_loss": 2.0,
        "learning_rate": 1e-5,
        "gradient_norm": 0.5,
        "clips_per_second": 4.0,
        "waiting_share": 0.25,
    }
    assert training.curves.train_loss == pytest.approx(0.3)


def test_time_for_validation_is_none_of_the_training_s(clock):
    training = Training(clock, max_steps=2)
    training.steps(1.0)
    training.look(eval_loss=1.5, eval_wer=0.25)
    training.steps(1.0)
    assert training.points[1] == (1, {"validation_loss": 1.5, "validation_wer": 0.25})
    assert training.points[2][1]["clips_per_second"] == 4.0
    assert training.curves.training_s == 4.0
    assert (training.curves.validation_loss, training.curves.validation_wer) == (1.5, 0.25)


def test_a_look_without_decoding_has_no_wer(clock):
    training = Training(clock, max_steps=2)
    training.look(eval_loss=1.5)
    assert training.points == [(0, {"validation_loss": 1.5})]
    assert training.curves.validation_wer is None


def summary(curves: Curves) -> dict[str, object]:
    names = ("training_s", "clips_per_second", "waiting_share", "n_steps", "warnings", "train_loss")
    return {name: getattr(curves, name) for name in names}


def test_a_training_that_goes_on_has_the_curves_of_one_that_was_not_interrupted(clock, monkeypatch, capsys):
    monkeypatch.setattr(module, "N_POINTS", 3)
    losses = [3.0, 2.5, 2.0, 1.5, 1.0, 0.5, 0.4, 0.3, 0.2]
    whole = Training(clock, max_steps=9)
    whole.curves.warn("rate", "the rate is odd")
    whole.steps(*losses)
    expected = summary(whole.curves)

    first = Training(clock, max_steps=9)
    first.curves.warn("rate", "the rate is odd")
    first.steps(*losses[:5])
    kept = first.kept()
    clock.now_s += 3600
    second = Training(clock, max_steps=9, kept=kept)
    capsys.readouterr()
    second.curves.warn("rate", "the rate is odd")
    second.steps(*losses[5:])
    assert first.points + second.points == whole.points
    assert summary(second.curves) == expected
    assert "warning" not in capsys.readouterr().err


def test_the_time_that_is_left_counts_from_the_step_that_it_goes_on_from(clock, capsys):
    first = Training(clock, max_steps=100)
    first.steps(*[1.0] * 50)
    second = Training(clock, max_steps=100, kept=first.kept())
    capsys.readouterr()
    second.steps(*[1.0] * 3)
    assert capsys.readouterr().err == (
        "step 53/100  loss 1.000  learning rate 1.0e-05  4.0 clips/s  25 % waiting  1:34 left\n"
    )


def test_over_fitting_and_waiting_are_said_once_and_kept(clock, capsys):
    training = Training(clock, max_steps=100)
    for n in range(5):
        training.steps(*[3.0 - 0.5 * n] * 10)
        training.look(eval_loss=1.0, eval_wer=0.2 + 0.1 * n)
    assert list(training.curves.warnings) == ["waiting", "over-fitting"]
    said = capsys.readouterr().err
    assert said.count("warning: ") == 2
    assert "warning: the training waits for data for 25 % of its time" in said
    assert "step 50/100  validation loss 1.000  WER 60.0 %" in said


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_stops_at_once(clock, loss):
    training = Training(clock, max_steps=10)
    with pytest.raises(UserError, match=r"the loss is (nan|inf) at step 1: train.learning_rate 1.0e-05"):
        training.steps(loss)


def test_weights_that_are_no_numbers_are_noticed_though_the_loss_was_one(clock):
    training = Training(clock, max_steps=1)
    with pytest.raises(UserError, match=r"the gradient's norm is nan at step 0: train.learning_rate 1.0e-05"):
        training.curves.on_log(
            None, training.state, None, {"loss": 1.0, "learning_rate": 1e-5, "grad_norm": float("nan")}
        )
    with pytest.raises(UserError, match=r"the validation loss is inf at step 0: train.learning_rate is probably"):
        training.look(eval_loss=float("inf"))


def test_before_the_first_point_the_loss_is_that_of_the_first_step(clock):
    training = Training(clock, max_steps=1000)
    training.steps(3.0, 2.0)
    assert training.curves.train_loss == 3.0


def test_only_the_first_process_speaks(clock, capsys):
    training = Training(clock, max_steps=1, is_first=False)
    training.curves.warn("rate", "the rate is odd")
    training.steps(1.0)
    training.look(eval_loss=1.0)
    assert training.points == []
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("duration_s", "text"), [(0, "0:00"), (61.4, "1:01"), (3_661, "1:01:01")])
def test_a_clock_shows_hours_only_where_there_are(duration_s, text):
    assert module._clock(duration_s) == text
