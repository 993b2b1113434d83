"""A training saves itself on the way and when it is told to stop, in all processes alike."""

import json
import os
import signal
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from transformers import TrainerControl, TrainerState

from asr.errors import UserError
from asr.train.attempt import Attempt
from asr.train.resume import Saving
from tests.builders import begin_checkpoint

ARGUMENTS: Any = SimpleNamespace(gradient_accumulation_steps=2)
LOADER = [None] * 12  # batches of an epoch: 6 steps


@pytest.fixture
def attempt(tmp_path: Path) -> Attempt:
    return Attempt(tmp_path / "attempts" / "key")


class Training:
    """Calls a `Saving` as Trainer does, which saves a checkpoint when it is told to."""

    def __init__(self, saving: Saving, max_steps: int = 9, first_step: int = 0) -> None:
        self.saving, self.control = saving, TrainerControl()
        self.state = TrainerState(max_steps=max_steps, global_step=first_step, is_world_process_zero=True)
        self.call("on_train_begin")

    def call(self, event: str) -> None:
        getattr(self.saving, event)(ARGUMENTS, self.state, self.control, train_dataloader=LOADER)

    def step(self, evaluate: Any = None) -> bool:
        """A step, with an evaluation that does something; whether it was saved."""
        self.state.global_step += 1
        self.control.should_training_stop = self.state.global_step == self.state.max_steps
        self.call("on_step_end")
        if evaluate:
            evaluate()
            self.call("on_evaluate")
        if saved := self.control.should_save:
            begin_checkpoint(self.saving.attempt, self.state.global_step)
            self.control.should_save = False
            self.call("on_save")
        return saved


def get_signal(number: signal.Signals = signal.SIGTERM) -> None:
    os.kill(os.getpid(), number)


class TestSaving:
    def test_it_saves_when_the_time_has_come(self, attempt: Attempt, monkeypatch: pytest.MonkeyPatch) -> None:
        now_s = 1000.0
        monkeypatch.setattr("asr.train.resume.time.monotonic", lambda: now_s)
        training = Training(Saving(attempt, 60))
        saved = []
        for _ in range(5):
            now_s += 25
            saved.append(training.step())
        assert saved == [False, False, True, False, False]
        assert attempt.step == 3

    def test_at_0_seconds_it_saves_each_step(self, attempt: Attempt) -> None:
        training = Training(Saving(attempt, 0))
        assert [training.step() for _ in range(3)] == [True] * 3
        assert not training.control.should_training_stop
        assert attempt.step == 3

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_a_signal_saves_after_the_step_and_stops(
        self, attempt: Attempt, number: signal.Signals, capfd: pytest.CaptureFixture[str]
    ) -> None:
        before = signal.getsignal(number)
        with Saving(attempt, 1e9) as saving:
            training = Training(saving)
            assert not training.step()
            get_signal(number)
            assert training.step()
        assert training.control.should_training_stop
        assert saving.interrupted == number
        assert (attempt.step, attempt.is_over) == (2, False)
        assert signal.getsignal(number) == before
        assert capfd.readouterr().err.splitlines() == [
            f"{number.name}: the training stops when this step is done and saved"
        ]

    def test_a_signal_while_the_validation_split_is_looked_at_saves_too(self, attempt: Attempt) -> None:
        with Saving(attempt, 1e9) as saving:
            training = Training(saving)
            assert training.step(evaluate=get_signal)
        assert saving.interrupted == signal.SIGTERM

    def test_a_second_interrupt_ends_at_once(self, attempt: Attempt) -> None:
        with pytest.raises(KeyboardInterrupt), Saving(attempt, 1e9):
            get_signal(signal.SIGINT)
            get_signal(signal.SIGINT)

    def test_a_signal_after_the_last_save_goes_to_who_handles_it_else(self, attempt: Attempt) -> None:
        before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
        try:
            with pytest.raises(KeyboardInterrupt), Saving(attempt, 1e9) as saving:
                get_signal(signal.SIGINT)
        finally:
            signal.signal(signal.SIGINT, before)
        assert saving.interrupted is None

    def test_outside_of_the_main_thread_it_leaves_signals_alone(self, attempt: Attempt) -> None:
        before, inside = signal.getsignal(signal.SIGTERM), []

        def enter() -> None:
            with Saving(attempt, 1e9):
                inside.append(signal.getsignal(signal.SIGTERM))

        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()
        assert inside == [before]

    def test_all_processes_stop_when_one_is_told_to(self, attempt: Attempt) -> None:
        """This process has no signal, another one has."""
        training = Training(saving := Saving(attempt, 1e9, in_all_processes=lambda flag: True))
        assert training.step()
        assert saving.interrupted == signal.SIGTERM and training.control.should_training_stop

    def test_only_the_first_process_marks_a_checkpoint(self, attempt: Attempt) -> None:
        training = Training(Saving(attempt, 0))
        training.saving._is_first = False
        training.step()
        assert attempt.checkpoint is None and len(attempt.cut_off()) == 1

    def test_epochs_are_counted_from_the_first_step_on(self, attempt: Attempt) -> None:
        training = Training(Saving(attempt, 1e9), first_step=8)
        training.step()
        assert training.state.epoch == 1.5

    def test_what_was_cut_off_goes_when_the_training_goes_on(self, attempt: Attempt) -> None:
        begin_checkpoint(attempt, 4)
        Training(Saving(attempt, 1e9))
        assert not list(attempt.folder.glob("checkpoint-*"))

    def test_after_the_last_step_nothing_is_trained_again(self, attempt: Attempt) -> None:
        with Saving(attempt, 1e9) as saving:
            training = Training(saving, max_steps=1)
            get_signal()
            assert training.step()
        assert attempt.is_over

        class Trainer:
            def train(self, resume_from_checkpoint: str) -> None:
                assert resume_from_checkpoint == str(attempt.checkpoint)
                Training(again, max_steps=1, first_step=1).call("on_epoch_begin")
                raise AssertionError("a second step")

        again = Saving(attempt, 1e9)
        again.train(Trainer())
        assert again.interrupted is None

    def test_a_training_that_is_not_over_goes_on(self, attempt: Attempt) -> None:
        with Saving(attempt, 0) as saving:
            Training(saving).step()
        with Saving(attempt, 0) as again:
            training = Training(again, first_step=1)
            training.call("on_epoch_begin")
            training.step()
        assert attempt.step == 2

    @pytest.mark.parametrize(
        "error",
        [
            OSError(28, "No space left on device"),
            RuntimeError("[enforce fail at inline_container.cc] pos"),
        ],
    )
    def test_what_cannot_be_saved_is_one_line_and_the_checkpoint_before_survives(
        self, attempt: Attempt, error: Exception
    ) -> None:
        with pytest.raises(UserError) as failed, Saving(attempt, 0) as saving:
            Training(saving).step()
            begin_checkpoint(attempt, 2)
            raise error
        line = str(failed.value)
        assert line.startswith(f"{attempt.folder / 'checkpoint-2'}: cannot be saved ({error}")
        assert line.endswith("`dvc repro` goes on from step 1") and "\n" not in line
        assert (attempt.step, attempt.cut_off()) == (1, [])

    def test_other_errors_stay_what_they_are(self, attempt: Attempt) -> None:
        with pytest.raises(RuntimeError, match="out of memory"), Saving(attempt, 0) as saving:
            Training(saving).step()
            raise RuntimeError("out of memory")

    def test_a_mark_is_the_last_thing_that_is_written(self, attempt: Attempt) -> None:
        folder = begin_checkpoint(attempt, 3)
        attempt.complete(3, is_over=False)
        assert json.loads((folder / "complete.json").read_text())["is_over"] is False
        times = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
        assert max(times, key=lambda name: times[name]) == "complete.json"
