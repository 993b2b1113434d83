"""A training that may be killed, and its attempt -> checkpoints on the way, and a training that goes on from them."""

import contextlib
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

import torch
from safetensors import SafetensorError
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from asr.errors import UserError, remedy
from asr.train.attempt import Attempt

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Saving(TrainerCallback):
    """Saves a checkpoint each `every_s` seconds (0: after each step) and at SIGTERM or SIGINT, which then stop it.

    Inside `with`, the two signals wait for the end of the step; a second SIGINT does not. `in_all_processes` tells
    whether a bool is true in any of the processes, all of which call it. Errors of saving become a `UserError`.
    """

    def __init__(self, attempt: Attempt, every_s: float, in_all_processes: Callable[[bool], bool] = bool) -> None:
        self.attempt, self.every_s, self._in_all_processes = attempt, every_s, in_all_processes
        self.interrupted: int | None = None  # the signal that stopped the training, after it was saved
        self._received: int | None = None
        self._over_after: int | None = None
        self._saved_s = time.monotonic()
        self._is_first = False
        self._has_begun = False  # to train, with all that was to be loaded
        self._old_handlers: dict[int, Any] = {}

    def train(self, trainer: Trainer) -> None:
        """Train from the attempt's checkpoint on, if it has one; if that was the end of it, only load it."""
        checkpoint = self.attempt.checkpoint
        with self, contextlib.suppress(_IsOverError):
            try:
                trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
            except (_IsOverError, MemoryError, torch.OutOfMemoryError):
                raise
            except Exception as error:  # whatever torch, safetensors or json make of a damaged file
                if checkpoint is None or self._has_begun:
                    raise
                raise self._unreadable(checkpoint, error, trainer.is_world_process_zero()) from error

    def __enter__(self) -> Self:
        self._over_after = self.attempt.step if self.attempt.is_over else None
        if threading.current_thread() is threading.main_thread():
            self._old_handlers = {number: signal.signal(number, self._receive) for number in _SIGNALS}
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._old_handlers.items():
            signal.signal(number, handler)
        if isinstance(error, OSError | RuntimeError | SafetensorError) and self._is_first and self.attempt.cut_off():
            raise self._explained(error) from error
        if error is None and self._received and not self.interrupted:  # it came after the last step
            signal.raise_signal(self._received)

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._saved_s = time.monotonic()
        self._is_first = state.is_world_process_zero
        if self._is_first:
            self.attempt.remove_others()

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if state.global_step == self._over_after:
            raise _IsOverError

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._has_begun = True

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        # Trainer counts the batches of a continued epoch from 0.
        state.epoch = state.global_step * args.gradient_accumulation_steps / len(kwargs["train_dataloader"])
        is_due = time.monotonic() - self._saved_s >= self.every_s
        control.should_save = self._in_all_processes(is_due or self._received is not None)

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if not control.should_save:
            control.should_save = self._in_all_processes(self._received is not None)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        # Whoever knows this has written its part of the checkpoint too.
        stops = self._in_all_processes(self._received is not None)
        if self._is_first:
            self.attempt.complete(state.global_step, is_over=control.should_training_stop)
        self._saved_s = time.monotonic()
        if stops:
            self.interrupted = self._received or signal.SIGTERM
            control.should_training_stop = True

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self._received == number == signal.SIGINT:
            raise KeyboardInterrupt
        if not self._received and self._is_first:
            line = f"{signal.Signals(number).name}: the training stops when this step is done and saved\n"
            os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, line.encode())  # print may be what it interrupts
        self._received = number

    def _unreadable(self, checkpoint: Path, error: Exception, is_first: bool) -> UserError:
        """Sets the checkpoint aside, without which the training begins anew."""
        aside = checkpoint.with_name(f"damaged-{checkpoint.name}")
        if is_first:
            shutil.rmtree(aside, ignore_errors=True)
            checkpoint.rename(aside)
        reason = str(error).splitlines()[0].split(". ")[0] if str(error) else type(error).__name__
        return UserError(
            f"{checkpoint}: cannot be loaded ({reason}); it is set aside as {aside.name}, and `dvc repro` trains from "
            "the start"
        )

    def _explained(self, error: Exception) -> UserError:
        (path, *_) = self.attempt.cut_off()
        free_mb = shutil.disk_usage(path).free / 1e6
        self.attempt.remove_others()
        reason = str(error).splitlines()[0]
        goes_on = f"from step {self.attempt.step}" if self.attempt.step else "from its start"
        done = remedy(error) or "make room there"
        return UserError(
            f"{path}: cannot be saved ({reason}; {free_mb:.0f} MB were free); {done}, and `dvc repro` goes on {goes_on}"
        )


class _IsOverError(Exception):
    """Nothing is left to train: leaves Trainer when it has loaded the checkpoint, before it takes another step."""
