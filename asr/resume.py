"""A training that may be killed -> checkpoints from which it goes on as if it had not been.

They lie in a folder that is named by all that determines the training, outside of DVC's outs, until it has succeeded.
"""

import contextlib
import hashlib
import json
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

from safetensors import SafetensorError
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from asr.errors import UserError
from asr.params import Params
from asr.shards import sha256_of

# What these do is seen, or refused, and changes no weight.
WITHOUT_EFFECT = {
    f"asr.{name}"
    for name in (
        *("advice", "environment", "errors", "fitting", "journal", "launch"),
        *("machine", "params", "progress", "provenance", "run", "tracking"),
    )
}
KEY_DIGITS = 16
_COMPLETE = "complete.json"  # written last: a checkpoint without it was cut off
_RUN = "run.json"
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True)
class Attempt:
    """The folder of a training that has not succeeded yet: `checkpoint-N` after step N, and the run that it logs to.

    All processes of a training see the same folder; only the first one writes it.
    """

    folder: Path

    @classmethod
    def of(cls, folder: Path, base: Path, features: Path, params: Params) -> "Attempt":
        """The attempt below `folder` at what `params` make of a base checkpoint and the features.

        Its name is a hash of the params that training reads, of the index (which has those of the shards), of every
        file in `base`, and of the modules of this package that are imported.
        """
        determining = {
            "train": params.train.model_dump(),
            "window_s": params.model.window_s,
            "features": sha256_of(features / "index.json"),
            "base": {str(path.relative_to(base)): sha256_of(path) for path in base.rglob("*") if path.is_file()},
            "code": _code(),
        }
        key = hashlib.sha256(json.dumps(determining, sort_keys=True).encode()).hexdigest()[:KEY_DIGITS]
        return cls(folder / key)

    @property
    def checkpoint(self) -> Path | None:
        """The newest one that is complete."""
        return max((path for path in self._checkpoints() if (path / _COMPLETE).exists()), key=_step, default=None)

    @property
    def step(self) -> int:
        """The optimiser step after which it goes on; 0 without a checkpoint."""
        return _step(self.checkpoint) if self.checkpoint else 0

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to train after the checkpoint: it is of the last step, or patience had ended."""
        return bool(self.checkpoint and json.loads((self.checkpoint / _COMPLETE).read_text())["is_over"])

    @property
    def run(self) -> dict[str, Any] | None:
        """What `note_run` was told; None before."""
        path = self.folder / _RUN
        return json.loads(path.read_text()) if path.exists() else None

    def note_run(self, run: dict[str, Any]) -> None:
        """Remember the run that a continued training logs to, as its `to_json()`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        _write_at_once(self.folder / _RUN, run)

    def complete(self, step: int, is_over: bool) -> None:
        """Mark the checkpoint of `step`, all of whose files are written, and remove all others."""
        checkpoint = self.folder / f"checkpoint-{step}"
        for path in checkpoint.rglob("*"):
            _to_disk(path)
        _write_at_once(checkpoint / _COMPLETE, {"is_over": is_over})
        self.remove_others()

    def remove_others(self) -> None:
        """Remove the checkpoints that are cut off, and those before the newest."""
        newest = self.checkpoint
        for path in self._checkpoints():
            if path != newest:
                (path / _COMPLETE).unlink(missing_ok=True)  # first: half a checkpoint must not look complete
                shutil.rmtree(path)

    def cut_off(self) -> list[Path]:
        """The checkpoints that are being written, or never were to the end."""
        return [path for path in self._checkpoints() if not (path / _COMPLETE).exists()]

    def remove(self) -> None:
        """Remove this attempt, and the folder that attempts lie in if it was the only one."""
        shutil.rmtree(self.folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            self.folder.parent.rmdir()

    def _checkpoints(self) -> list[Path]:
        return list(self.folder.glob("checkpoint-*"))


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
        self._is_first = True
        self._old_handlers: dict[int, Any] = {}

    def train(self, trainer: Trainer) -> None:
        """Train from the attempt's checkpoint on, if it has one; if that was the end of it, only load it."""
        checkpoint = self.attempt.checkpoint
        with self, contextlib.suppress(_IsOverError):
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)

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

    def _explained(self, error: Exception) -> UserError:
        (path, *_) = self.attempt.cut_off()
        free_mb = shutil.disk_usage(path).free / 1e6
        self.attempt.remove_others()
        reason = str(error).splitlines()[0]
        goes_on = f"from step {self.attempt.step}" if self.attempt.step else "from its start"
        return UserError(
            f"{path}: cannot be saved ({reason}; {free_mb:.0f} MB were free); make room there, and `dvc repro` goes on "
            f"{goes_on}"
        )


class _IsOverError(Exception):
    """Nothing is left to train: leaves Trainer when it has loaded the checkpoint, before it takes another step."""


def _code() -> dict[str, str]:
    """The sha256 of each module of this package that is imported and can have an effect."""
    modules = {name: module for name, module in sys.modules.items() if name.startswith("asr.")}
    return {
        name: sha256_of(Path(module.__file__))
        for name, module in modules.items()
        if name not in WITHOUT_EFFECT and module.__file__
    }


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


def _write_at_once(path: Path, content: dict[str, Any]) -> None:
    """Write JSON so that a kill leaves all of it, or what was there before."""
    beside = path.with_suffix(".new")
    beside.write_text(json.dumps(content))
    _to_disk(beside)
    beside.replace(path)
    _to_disk(path.parent)


def _to_disk(path: Path) -> None:
    """Wait until a file or directory would outlive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
