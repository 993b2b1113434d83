"""What determines a training -> the folder of its attempt, with the checkpoints from which it goes on after a kill.

It lies outside of DVC's outs until the training has succeeded.
"""

import contextlib
import hashlib
import json
import os
import shutil
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from asr.models.device import resolve_precision
from asr.params import Params
from asr.selection.files import WEIGHTS
from asr.shards import sha256_of

# What these do is seen, or refused, and changes no weight.
WITHOUT_EFFECT = tuple(
    f"asr.{name}"
    for name in (
        *("environment", "errors", "experiments", "params", "progress", "secrets", "tracking"),
        *("train.advice", "train.fitting", "train.launch"),
    )
)
PACKAGES = ("peft", "torch", "transformers")
KEY_DIGITS = 16
_COMPLETE = "complete.json"  # written last: a checkpoint without it was cut off
_RUN = "run.json"


@dataclass(frozen=True)
class Attempt:
    """The folder of a training that has not succeeded yet: `checkpoint-N` after step N, and the run that it logs to.

    All processes of a training see the same folder; only the first one writes it.
    """

    folder: Path

    @classmethod
    def of(cls, folder: Path, base: Path, features: Path, selection: Path, params: Params) -> "Attempt":
        """The attempt below `folder` at what `params` make of a base checkpoint and the features.

        Its name is a hash of the params that training reads, of the index (which has those of the shards), of the
        weights in `selection`, of every file in `base`, of the modules of this package that are imported, and of the
        libraries' versions and the dtype.
        """
        determining = {
            "train": params.train.model_dump(),
            "window_s": params.model.window_s,
            "features": sha256_of(features / "index.json"),
            "selection": sha256_of(selection / WEIGHTS),
            "base": {str(path.relative_to(base)): sha256_of(path) for path in base.rglob("*") if path.is_file()},
            "code": _code(),
            "versions": {package: version(package) for package in PACKAGES},
            "dtype": str(resolve_precision(params.train.precision)),  # `auto` is another on another machine
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
        _write_at_once(checkpoint / _COMPLETE, {"is_over": is_over, "sha256": _digests(checkpoint)})
        self.remove_others()

    def damaged(self) -> list[Path]:
        """The files of the checkpoint that are no longer what was saved: a disk can fail in silence."""
        if not self.checkpoint:
            return []
        saved = json.loads((self.checkpoint / _COMPLETE).read_text()).get("sha256", {})
        found = _digests(self.checkpoint)
        return [self.checkpoint / name for name in saved if saved[name] != found.get(name)]

    def discard(self) -> None:
        """Take the checkpoint for one that was cut off."""
        if self.checkpoint:
            (self.checkpoint / _COMPLETE).unlink(missing_ok=True)

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


def _code() -> dict[str, str]:
    """The sha256 of each module of this package that is imported and can have an effect."""
    modules = {name: module for name, module in sys.modules.items() if name.startswith("asr.")}
    return {
        name: sha256_of(Path(module.__file__))
        for name, module in modules.items()
        if module.__file__ and not is_without_effect(name)
    }


def is_without_effect(module: str) -> bool:
    """Whether it, or the package that it is in, cannot change what is trained."""
    return any(module == name or module.startswith(f"{name}.") for name in WITHOUT_EFFECT)


def _digests(checkpoint: Path) -> dict[str, str]:
    """The sha256 of each file of a checkpoint but the mark that it is complete, by name."""
    files = [path for path in checkpoint.rglob("*") if path.is_file() and path.name != _COMPLETE]
    return {str(path.relative_to(checkpoint)): sha256_of(path) for path in files}


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
