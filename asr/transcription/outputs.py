"""Files and folders that a user names -> the recordings in them; transcripts -> files, and which of those are done.

A folder of transcripts says in `settings.json` what they were made with, so that a second run goes on only where it
would come to the same.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asr import storage
from asr.errors import UserError
from asr.transcription.formats import FORMATS
from asr.transcription.transcript import Transcript

SETTINGS = "settings.json"
# What a folder is searched for; a file that is named itself may be called anything.
SUFFIXES = {
    *(".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".m4a", ".m4b", ".mp4", ".m4v", ".aac", ".wma", ".wmv"),
    *(".webm", ".mkv", ".mka", ".mov", ".avi", ".mpg", ".mpeg", ".ts", ".aif", ".aiff", ".au", ".amr", ".ape"),
    *(".caf", ".wv", ".w64", ".rf64", ".3gp", ".ac3", ".flv"),
}


@dataclass(frozen=True)
class Input:
    """A recording, and what its transcripts are called: relative to their folder, without a suffix."""

    audio: str
    name: str


def find(given: Sequence[str]) -> list[Input]:
    """Files as they are given, and the recordings below folders by name. Raises `UserError` for what is not there, for
    a folder without any, and for two that would be called the same."""
    found = [entry for place in given for entry in _find(place)]
    by_name: dict[str, str] = {}
    for entry in found:
        other = by_name.setdefault(entry.name, entry.audio)
        if other != entry.audio:
            raise UserError(f"{other} and {entry.audio} would both be {entry.name}.*; give them in two runs")
    return found


def _find(place: str) -> Iterator[Input]:
    if not storage.is_folder(place):
        if not storage.is_remote(place) and not os.path.exists(place):
            raise UserError(f"{place}: no such file or folder")
        yield Input(place, Path(place).stem)
        return
    names = [name for name in storage.below(place) if Path(name).suffix.lower() in SUFFIXES]
    if not names:
        raise UserError(f"{place}: no recording in it ({' '.join(sorted(SUFFIXES)[:6])} ...)")
    stems = [str(Path(name).with_suffix("")) for name in names]
    for name, stem in zip(names, stems, strict=True):  # a.wav beside a.mp3 keep their suffixes
        yield Input(storage.join(place, name), stem if stems.count(stem) == 1 else name)


class Folder:
    """Where transcripts go, each in all `formats`; `settings` are what decides their words."""

    def __init__(self, path: Path, formats: Sequence[str], settings: Mapping[str, Any]) -> None:
        self._path, self._formats, self._settings = path, formats, settings
        self._noted = path / SETTINGS

    def begin(self, *, overwrite: bool) -> None:
        """Raises `UserError` where other settings have made what is there, which is not to be overwritten."""
        before = json.loads(self._noted.read_text(encoding="utf-8")) if self._noted.exists() else self._settings
        if before != self._settings and not overwrite:
            other = [name for name in self._settings if before.get(name) != self._settings[name]]
            raise UserError(
                f"{self._path} has transcripts of another {', '.join(other)}; choose another folder, or --overwrite"
            )
        _write(self._noted, json.dumps(self._settings, indent=1) + "\n")

    def has(self, entry: Input) -> bool:
        """Whether an earlier run has made all of a recording's transcripts, and it has not changed since."""
        made = [self._file(entry, name) for name in self._formats]
        if not all(path.exists() for path in made):
            return False
        if storage.is_remote(entry.audio):
            return True
        return min(path.stat().st_mtime_ns for path in made) >= os.stat(entry.audio).st_mtime_ns

    def write(self, entry: Input, transcript: Transcript) -> None:
        """Each file whole or not at all. Raises `OSError`."""
        for name in self._formats:
            _write(self._file(entry, name), FORMATS[name](transcript, {"audio": entry.audio}))

    def _file(self, entry: Input, suffix: str) -> Path:
        return self._path / f"{entry.name}.{suffix}"


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        storage.put_bytes(text.encode(), path)
    except OSError as error:
        error.filename = error.filename or str(path)
        raise
