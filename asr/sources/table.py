"""A table of the corpus (CSV, TSV, JSONL or Parquet) and the audio that it names -> utterances.

Columns: `audio` and `text`; optional `id language speaker split start_s end_s`. `data.table.columns` gives other names.
"""

import math
import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from asr import params
from asr.errors import UserError
from asr.languages import language_code
from asr.sources.rows import Row, read_rows
from asr.splits import split_named
from asr.utterances import Rejected, Seconds, Split, Utterance

LONGEST_S: Seconds = 366 * 24 * 3600  # of a recording; a time beyond it is a slip, and overflows further down


class Unusable(Exception):
    """A row that is rejected: the reason and its detail."""


def utterances(data: params.Data, corpus: Path) -> Iterator[Utterance | Rejected]:
    """A row of the table each, in its order. Nothing goes into `corpus`: the audio stays where it is.

    Raises `UserError` if the table, a column or the audio's root is missing.
    """
    folder = AudioFolder.of(data.table)
    items = [
        row if isinstance(row, Rejected) else _utterance(row, number, folder, data)
        for number, row in enumerate(read_rows(data.table), 1)
    ]
    n_pieces = Counter(item.audio for item in items if isinstance(item, Utterance))
    for item in items:
        if isinstance(item, Utterance):
            item = replace(item, source_bytes=item.source_bytes // n_pieces[item.audio])
        yield item


def listing(data: params.Data) -> Iterator[tuple[str, str]]:
    """The table and each audio file that it names, with bytes and time of change; no audio is opened."""
    folder = AudioFolder.of(data.table)
    paths = {str(data.table.path)}
    for row in read_rows(data.table):
        if not isinstance(row, Rejected) and row["audio"]:
            try:
                paths.add(folder.locate(row["audio"]))
            except Unusable:
                continue  # what lies outside is not read, and so changes nothing
    for path in sorted(paths):
        yield path, _version(path)


@dataclass(frozen=True)
class AudioFolder:
    """Where the table's audio paths start; with a root, nothing outside of it is read."""

    path: str
    is_root: bool

    @classmethod
    def of(cls, table: params.Table) -> "AudioFolder":
        """Raises `UserError` if `data.table.audio_root` is no directory."""
        if table.audio_root is None:
            return cls(os.path.dirname(os.path.abspath(str(table.path))), is_root=False)
        if not os.path.isdir(table.audio_root):
            raise UserError(
                f"data.table.audio_root: there is no directory {table.audio_root}; "
                "give the one that the table's audio paths start from, or null for the table's own"
            )
        return cls(os.path.realpath(table.audio_root), is_root=True)

    def locate(self, audio: str) -> str:
        """The path of a row's audio, relative to the working directory where it lies beneath. Raises `Unusable`."""
        path = os.path.abspath(os.path.join(self.path, audio))
        if self.is_root:
            try:
                real = os.path.realpath(path)
            except ValueError as error:  # no file's name: it has a zero byte, or half of a surrogate pair
                raise Unusable("missing audio", f"{path}: {error}") from None
            if not real.startswith(os.path.join(self.path, "")):
                raise Unusable("outside audio_root", audio)
        here = os.path.join(os.getcwd(), "")
        return path.removeprefix(here)


def _utterance(row: Row, number: int, folder: AudioFolder, data: params.Data) -> Utterance | Rejected:
    name = row.get("id") or row["audio"] or f"row {number}"
    try:
        if not row["audio"]:
            raise Unusable("missing audio", f"row {number} names no file")
        audio = folder.locate(row["audio"])
        start_s, end_s = _times(row)
        return Utterance(
            # Not from the row's number, so that a row more changes no other id.
            id=row.get("id") or row["audio"] + (f"@{start_s}" if row.get("start_s") else ""),
            audio=audio,
            text=row["text"] or "",
            language=_language(row, data),
            split=_split(row),
            speaker=row.get("speaker"),
            start_s=start_s,
            duration_s=None if end_s is None else end_s - start_s,
            source_bytes=_size_bytes(audio),
        )
    except Unusable as unusable:
        return Rejected(name, *unusable.args)


def _times(row: Row) -> tuple[Seconds, Seconds | None]:
    """Start and end of the piece; the end is None where it is the file's. Raises `Unusable`."""
    given = f"start_s {row.get('start_s')}, end_s {row.get('end_s')}"
    try:
        start_s = float(row.get("start_s") or 0)
        end_s = float(row.get("end_s") or math.inf)
    except ValueError:
        raise Unusable("bad times", given) from None
    to_the_end = end_s == math.inf
    if not 0 <= start_s < end_s or max(start_s, 0 if to_the_end else end_s) > LONGEST_S:  # a NaN is in no order
        raise Unusable("bad times", given)
    return start_s, None if to_the_end else end_s


def _language(row: Row, data: params.Data) -> str:
    name = row.get("language") or data.language
    code = language_code(name)
    if code is None:
        raise Unusable("unknown language", f"{name!r} is none of Whisper's; name the nearest of those")
    return code


def _split(row: Row) -> Split | None:
    name = row.get("split")
    split = split_named(name) if name else None
    if name and split is None:
        raise Unusable("unknown split", f"{name!r} is none of train, validation, test")
    return split


def _size_bytes(path: str) -> int:
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        raise Unusable("missing audio", f"{path}: {getattr(error, 'strerror', error)}") from None
    if not stat.S_ISREG(status.st_mode):
        raise Unusable("missing audio", f"{path}: not a file")
    return status.st_size


def _version(path: str) -> str:
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return "missing"
    return f"{status.st_size}-{status.st_mtime_ns}"
