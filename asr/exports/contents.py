"""A folder to publish -> the files that go to the hub, and those that stay with the reason."""

import json
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from asr.errors import UserError

CARD = "README.md"
WEIGHTS = ("model.safetensors", "adapter_model.safetensors", "model.bin")  # of transformers, peft and CTranslate2
WEIGHTS_INDEX = f"{WEIGHTS[0]}.index.json"  # where they are in several files
REMEDY = "put hub into export.formats of params.yaml, and run `dvc repro export`"
# Patterns of the names of files and folders.
STRAYS = {
    ".*": "dotfile",
    "*.partial": "unfinished",
    "*.tmp": "unfinished",
    "*~": "an editor's copy",
    "__pycache__": "compiled",
    "checkpoint-[0-9]*": "training state",
    "optimizer*": "training state",
    "scheduler*": "training state",
    "scaler.pt": "training state",
    "rng_state*": "training state",
    "random_states*": "training state",
    "trainer_state.json": "training state",
    "training_args.bin": "training state",
    "events.out.tfevents*": "training log",
}


@dataclass(frozen=True)
class Contents:
    """A folder's files by their names inside of it, with `/`: those that go with sizes, the others with reasons.

    A folder that stays as a whole is named once.
    """

    folder: Path
    size_bytes: dict[str, int]
    left_out: dict[str, str]

    @property
    def total_bytes(self) -> int:
        return sum(self.size_bytes.values())


def contents(folder: Path) -> Contents:
    """What of an exported checkpoint is to be published. Raises `UserError` where it is not fit to be."""
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; {REMEDY}")
    size_bytes: dict[str, int] = {}
    left_out: dict[str, str] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if stray := _stray(name):
            left_out |= stray
        elif path.is_file():
            size_bytes[name.as_posix()] = path.stat().st_size
        elif path.is_symlink() or not path.is_dir():
            left_out[name.as_posix()] = "leads to no file"
    found = Contents(folder, size_bytes, left_out)
    _check(found)
    return found


def _stray(name: Path) -> dict[str, str]:
    """The file or folder that does not belong, with the reason; empty where all of the path does."""
    for depth, part in enumerate(name.parts, start=1):
        for pattern, reason in STRAYS.items():
            if fnmatch(part, pattern):
                return {"/".join(name.parts[:depth]): reason}
    return {}


def _check(found: Contents) -> None:
    """Raises `UserError` unless there are a card and whole weights."""
    names = found.size_bytes.keys()
    if CARD not in names:
        raise UserError(f"{found.folder}: no {CARD}, the card that says what the model is; {REMEDY}")
    if names.isdisjoint((*WEIGHTS, WEIGHTS_INDEX)):
        raise UserError(f"{found.folder}: no weights, such as {WEIGHTS[0]}; {REMEDY}")
    if WEIGHTS_INDEX in names and (missing := sorted(_shards(found.folder / WEIGHTS_INDEX) - names)):
        raise UserError(f"{found.folder}: no {missing[0]}, which {WEIGHTS_INDEX} names; {REMEDY}")


def _shards(index: Path) -> set[str]:
    """The files that an index of weights names."""
    try:
        return set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (ValueError, KeyError, AttributeError, TypeError):
        raise UserError(f"{index}: not an index of weights; {REMEDY}") from None
