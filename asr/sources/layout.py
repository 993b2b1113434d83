"""data.path -> the places where a corpus lies; what a layout finds there -> utterances."""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asr import storage
from asr.corpora.splits import split_named
from asr.errors import UserError
from asr.languages import language_code
from asr.params import Data
from asr.relatives import hint
from asr.sources.table import LONGEST_S
from asr.sources.table import sized as sized  # for every layout
from asr.utterances import Rejected, Seconds, Split, Utterance


@dataclass(frozen=True)
class Place:
    """A folder or file of `data.path`, with its split where `data.path` names it.

    `prefix` goes before ids that are paths below it: what tells it from the others, nothing where it is the only one.
    """

    path: Path
    split: Split | None
    prefix: str


def places(data: Data) -> list[Place]:
    """Raises `UserError` for what is not there."""
    given = data.path or []
    pairs = list(given.items() if isinstance(given, dict) else [("", path) for path in _listed(given)])
    for _, path in pairs:
        if storage.is_remote(path):
            raise UserError(
                f"data.path: {path} is in an object store, where data.source {data.source} is not read; "
                "copy it here, or use data.source: table, whose audio may lie there"
            )
        if not Path(path).expanduser().exists():
            raise UserError(f"data.path: there is no {path}; give the corpus' place from this folder")
    paths = [Path(path).expanduser().absolute() for _, path in pairs]
    shared = os.path.commonpath(paths) if len(paths) > 1 else None
    return [
        Place(Path(given).expanduser(), split_named(split), f"{os.path.relpath(path, shared)}/" if shared else "")
        for (split, given), path in zip(pairs, paths, strict=True)
    ]


def split_in(name: str) -> Split | None:
    """The split that a part of a file's or folder's name means: of "train-clean-100" or "my_dev.json"."""
    named = (split_named(part) for part in re.split(r"[^a-z]+", name.casefold()))
    return next((split for split in named if split), None)


def split_of_folders(name: str) -> Split | None:
    """That of the first folder on the way to a file that means one."""
    return next((split for folder in Path(name).parts[:-1] if (split := split_in(folder))), None)


def utterance(
    data: Data,
    name: str,
    audio: str | Path,
    text: str,
    language: str | None = None,
    within: Path | None = None,
    **fields: Any,
) -> Utterance | Rejected:
    """A row, whose audio's bytes are not known yet; `language` is as the corpus names it (None: `data.language`).

    `within` is the folder that the layout's names cannot lead out of; a link in it may.
    """
    if within is not None and not os.path.abspath(audio).startswith(os.path.join(os.path.abspath(within), "")):
        return Rejected(name, "outside data.path", f"{audio} is not below {within}")
    called = language or data.language
    code = language_code(called, data.languages)
    if code is None:
        detail = f"{called!r} is none of Whisper's; set data.languages: {hint(called)}"
        return Rejected(name, "unknown language", detail)
    row = Utterance(name, referred(audio), text, code, **fields)
    length_s = row.duration_s if row.duration_s is not None else 1
    if not (0 <= row.start_s <= LONGEST_S and 0 < length_s <= LONGEST_S):  # a NaN is in no order
        return Rejected(name, "bad times", f"from {row.start_s} s, {row.duration_s} s long")
    return row


def seconds(value: Any) -> Seconds:
    """A time as a corpus writes it; NaN, which is a bad time, where that is no number."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")


def referred(audio: str | Path) -> str:
    """A path as utterances have it: relative to the working directory where it lies beneath; a URI as it is."""
    if storage.is_remote(str(audio)):
        return str(audio)
    return os.path.abspath(audio).removeprefix(os.path.join(os.getcwd(), ""))


def listing(data: Data) -> Iterator[tuple[str, str]]:
    """Every file of the places with size and time, as a source's `listing` has them."""
    for place in places(data):
        if place.path.is_dir():
            yield from _tree(str(place.path))
        else:
            yield from listing_of([str(place.path)])


def listing_of(paths: Iterable[str]) -> Iterator[tuple[str, str]]:
    """The same of single files, which may lie in object stores."""
    for path, file in storage.stored(paths).items():
        yield path, "missing" if isinstance(file, storage.Absent) else f"{file.size_bytes}-{file.version}"


@dataclass
class Finder:
    """Where the relative paths of a manifest start: its folder, one of those above, or the working directory.

    The tools that write manifests (Kaldi, lhotse) name paths from wherever they were run. What leads to the first file
    that exists is taken for all.
    """

    folder: Path
    _base: Path | None = field(default=None, init=False)

    def __call__(self, audio: str) -> str | Path:
        if storage.is_remote(audio) or os.path.isabs(audio):
            return audio
        if self._base is None:
            above = [self.folder, *self.folder.absolute().parents, Path()]
            self._base = next((base for base in above if os.path.exists(base / audio)), None)
        return (self._base or self.folder) / audio


def _listed(given: str | list[str]) -> list[str]:
    return [given] if isinstance(given, str) else given


def _tree(root: str) -> Iterator[tuple[str, str]]:
    """Links are followed, each folder is walked once."""
    seen: set[str] = set()
    for folder, folders, names in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders.sort()
        yield from listing_of(os.path.join(folder, name) for name in sorted(names))
