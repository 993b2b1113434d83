"""Files and folders that a user names -> the recordings in them; transcripts -> files, and which of those are done.

A folder of transcripts has a journal of what they were made with and of which recordings, so that a second run goes on
only where it would come to the same.
"""

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asr import storage
from asr.errors import UserError
from asr.transcription.formats import FORMATS
from asr.transcription.transcript import Transcript

JOURNAL = ".transcribed.jsonl"  # a line with the settings, then one for each recording that is done
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
    told: str = ""  # how a user knows it, where that is not `audio`

    def __post_init__(self) -> None:
        object.__setattr__(self, "told", self.told or self.audio)


def find(given: Sequence[str]) -> list[Input]:
    """Files as they are given, and the recordings below folders by name. Raises `UserError` for what is not there, for
    a folder without any, and for two that would be called the same."""
    found = [entry for place in given for entry in _find(place)]
    by_name: dict[str, str] = {}
    for entry in found:
        other = by_name.setdefault(entry.name, entry.audio)
        if other != entry.audio:
            raise UserError(f"{other} and {entry.audio} would both be {entry.name}.*; transcribe them into two folders")
        if not entry.audio.isprintable():
            raise UserError(f"{entry.audio!r}: a name that is not UTF-8, or cannot be printed; rename it")
    return list({entry.audio: entry for entry in found}.values())


def versions(inputs: Sequence[Input]) -> dict[str, str]:
    """By recording: its size and time of change, or etag; empty where it cannot be looked up."""
    stored = storage.stored(entry.audio for entry in inputs)
    return {
        audio: f"{found.size_bytes}-{found.version}" if isinstance(found, storage.Stored) else ""
        for audio, found in stored.items()
    }


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
    n_alike = Counter(stems)
    for name, stem in zip(names, stems, strict=True):  # a.wav beside a.mp3 keep their suffixes
        yield Input(storage.join(place, name), stem if n_alike[stem] == 1 else name)


class Folder:
    """Where transcripts go, each in all `formats`; `settings` are what decides their words."""

    def __init__(self, path: Path, formats: Sequence[str], settings: Mapping[str, Any], *, overwrite: bool) -> None:
        """Raises `UserError` where other settings have made what is there, which is not to be overwritten."""
        self._path, self._formats = path, formats
        self._settings = json.loads(json.dumps(settings))
        self._journal = path / JOURNAL
        self._done: dict[str, Any] = {}  # by name: the recording, and its version
        self._keeps = False  # the journal
        before = None if overwrite else self._read()
        if before is not None and before != self._settings:
            other = [name for name in self._settings if before.get(name) != self._settings[name]]
            raise UserError(
                f"{path} has transcripts of another {', '.join(other)}; choose another --out, or --overwrite"
            )

    def has(self, entry: Input, version: str) -> bool:
        """Whether an earlier run has made all of its transcripts, of the same `version` of it.

        Raises `UserError` where those of its name are of another recording.
        """
        made = self._done.get(entry.name)
        if made is None or not all(self._file(entry, name).exists() for name in self._formats):
            return False
        if made["audio"] != _place(entry.audio):
            raise UserError(
                f"{self._path / entry.name}.* is of {made['audio']}; choose another --out for {entry.audio}"
            )
        return bool(made["version"] == version)

    def write(self, entry: Input, version: str, transcript: Transcript) -> None:
        """Each file whole or not at all, then a line in the journal. Raises `OSError`."""
        if not self._keeps:
            _write(self._journal, json.dumps({"settings": self._settings}) + "\n")
            self._keeps = True
        for name in self._formats:
            _write(self._file(entry, name), FORMATS[name](transcript, {"audio": entry.told}))
        line = {"name": entry.name, "audio": _place(entry.audio), "version": version}
        with self._journal.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def _read(self) -> Any:
        """The settings in the journal, and what is done; None where there is none."""
        if not self._journal.exists():
            return None
        try:
            first, *lines = self._journal.read_text(encoding="utf-8").splitlines()
            settings = json.loads(first)["settings"]
            for line in lines:
                entry = _parsed(line)
                if entry:
                    self._done[entry["name"]] = entry
        except (ValueError, KeyError, TypeError):
            raise UserError(f"{self._journal}: is damaged; choose another --out, or --overwrite") from None
        self._keeps = settings == self._settings
        return settings

    def _file(self, entry: Input, suffix: str) -> Path:
        return self._path / f"{entry.name}.{suffix}"


def _parsed(line: str) -> Any:
    """An entry of the journal; None for a line that a killed run has left unfinished."""
    try:
        return json.loads(line)
    except ValueError:
        return None


def _place(audio: str) -> str:
    return audio if storage.is_remote(audio) else os.path.abspath(audio)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        storage.put_bytes(text.encode(), path)
    except OSError as error:
        error.filename = error.filename or str(path)
        raise
