"""A table of the corpus (CSV, TSV, JSONL or Parquet), here or in an object store, and the audio it names -> utterances.

Columns: `audio` and `text`; optional `id language speaker split start_s end_s`. `data.table.columns` gives other names.
"""

import json
import math
import os
import re
import tempfile
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from itertools import chain, islice
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np

from asr import params, storage
from asr.corpora.splits import split_named
from asr.errors import UserError
from asr.languages import language_code
from asr.relatives import hint
from asr.sources.rows import Row, read_rows
from asr.stores import EXTRAS
from asr.utterances import Rejected, Seconds, Split, Utterance

ROWS_AT_ONCE = 2_000
LONGEST_S: Seconds = 366 * 24 * 3600  # of a recording; a time beyond it is a slip, and overflows further down

_FIELDS = [field.name for field in fields(Utterance)]
_ID, _AUDIO, _BYTES = map(_FIELDS.index, ("id", "audio", "source_bytes"))
_values = attrgetter(*_FIELDS)


class Unusable(Exception):
    """A row that is rejected: the reason and its detail."""


def utterances(data: params.Data, corpus: Path) -> Iterator[Utterance | Rejected]:
    """A row of the table each, in its order. Nothing goes into `corpus`: the audio stays where it is.

    Raises `UserError` if the table, a column or the audio's root is missing, or a store does not answer.
    """
    folder = AudioFolder.of(data.table)
    rows = enumerate(read_rows(data.table), 1)
    return sized(row if isinstance(row, Rejected) else _utterance(row, number, folder, data) for number, row in rows)


def sized(items: Iterable[Utterance | Rejected]) -> Iterator[Utterance | Rejected]:
    """The rows, each with its share of the bytes of its recording; rejected where there is none.

    All are read before the first comes, because a recording's other pieces may be anywhere; they wait on disk. In
    memory are 16 bytes for each row, and what object stores say of theirs.
    """
    audio = array("q")  # hashes, of this process
    remote: set[str] = set()
    rows = iter(items)
    with tempfile.TemporaryFile() as waiting:
        while some := list(islice(rows, ROWS_AT_ONCE)):
            paths = [row.audio for row in some if isinstance(row, Utterance)]
            audio.extend(map(hash, paths))
            remote.update(filter(storage.is_remote, paths))
            waiting.write(json.dumps([_written(row) for row in some]).encode() + b"\n")
        recordings, n_pieces = np.unique(np.frombuffer(audio, np.int64), return_counts=True)
        objects = storage.stored(remote)
        waiting.seek(0)
        for line in waiting:
            again = json.loads(line)
            paths = [row[_AUDIO] for row in again if len(row) == len(_FIELDS)]
            counts = n_pieces[np.searchsorted(recordings, np.array(list(map(hash, paths)), np.int64))]
            pieces = dict(zip(paths, counts.tolist(), strict=True))
            files = storage.stored(path for path in pieces if path not in objects)
            for row in again:
                if len(row) != len(_FIELDS):
                    yield Rejected(*row)
                else:
                    path = row[_AUDIO]
                    yield _sized(row, files.get(path) or objects[path], pieces[path])


def _written(row: Utterance | Rejected) -> tuple[Any, ...]:
    """The values of its fields, of which one that is rejected has fewer."""
    return _values(row) if isinstance(row, Utterance) else (row.id, row.reason, row.detail)


def _sized(values: list[Any], file: storage.Found, n_pieces: int) -> Utterance | Rejected:
    if isinstance(file, storage.Absent):
        return Rejected(values[_ID], "missing audio", f"{values[_AUDIO]}: {file.why}")
    made: Callable[..., Utterance] = Utterance
    return made(*values[:_BYTES], file.size_bytes // n_pieces, *values[_BYTES + 1 :])


def listing(data: params.Data) -> Iterator[tuple[str, str]]:
    """The table and each audio file that it names, with bytes and time of change or etag; no audio is opened."""
    folder = AudioFolder.of(data.table)
    paths = {str(data.table.path)}
    for row in read_rows(data.table):
        if not isinstance(row, Rejected) and row["audio"]:
            try:
                paths.add(folder.locate(row["audio"]))
            except Unusable:
                continue  # what lies outside is not read, and so changes nothing
    remote = set(filter(storage.is_remote, paths))
    here = iter(sorted(paths - remote))
    for some in chain([remote], iter(lambda: list(islice(here, ROWS_AT_ONCE)), [])):
        for path, file in storage.stored(some).items():
            yield path, "missing" if isinstance(file, storage.Absent) else f"{file.size_bytes}-{file.version}"


@dataclass(frozen=True)
class AudioFolder:
    """Where the table's audio paths start, a directory or a URI; with a root, nothing outside of it is read."""

    path: str
    is_root: bool

    @classmethod
    def of(cls, table: params.Table) -> "AudioFolder":
        """Raises `UserError` if `data.table.audio_root` is no directory, or nothing lies below it in its store."""
        if table.audio_root is None:
            path = str(table.path)
            return cls(os.path.dirname(path if storage.is_remote(path) else os.path.abspath(path)), is_root=False)
        if not storage.is_folder(table.audio_root):
            raise UserError(
                f"data.table.audio_root: there is no directory {table.audio_root}; "
                "give the one that the table's audio paths start from, or null for the table's own"
            )
        if storage.is_remote(table.audio_root):
            return cls(_resolved(table.audio_root.rstrip("/")), is_root=True)
        return cls(os.path.realpath(table.audio_root), is_root=True)

    def locate(self, audio: str) -> str:
        """A row's audio as a URI, or as a path: relative to the working directory where it lies beneath.

        Raises `Unusable`.
        """
        if self.is_root and _scheme(audio) and not (storage.is_remote(self.path) and storage.is_remote(audio)):
            raise Unusable("outside audio_root", audio)
        if _scheme(audio) and not storage.is_remote(audio):
            known = " and ".join(f"{scheme}://" for scheme in EXTRAS)
            raise Unusable("unknown scheme", f"{audio}: a recording has a path, or a URI of {known}")
        if storage.is_remote(audio) or (storage.is_remote(self.path) and not os.path.isabs(audio)):
            return self._locate_object(audio)
        return self._locate_file(audio)

    def _locate_object(self, audio: str) -> str:
        uri = _resolved(audio if storage.is_remote(audio) else storage.join(self.path, audio))
        if self.is_root and not uri.startswith(f"{self.path}/"):
            raise Unusable("outside audio_root", audio)
        return uri

    def _locate_file(self, audio: str) -> str:
        if self.is_root and storage.is_remote(self.path):
            raise Unusable("outside audio_root", audio)
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


def _scheme(audio: str) -> str | None:
    """That of a URI (RFC 3986, 3.1); None of a path, which may have a colon too."""
    match = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", audio)
    return match and match[1]


def _resolved(uri: str) -> str:
    """A URI without `.` and `..`, which a store takes for names and a client may not; it stays in its bucket."""
    scheme, _, path = uri.partition("://")
    bucket, *names = path.split("/")
    kept: list[str] = []
    for name in names:
        if name == "..":
            del kept[-1:]
        elif name != ".":
            kept.append(name)
    return f"{scheme}://{'/'.join([bucket, *kept])}"


def _utterance(row: Row, number: int, folder: AudioFolder, data: params.Data) -> Utterance | Rejected:
    """The bytes of its recording are not known yet."""
    name = row.get("id") or row["audio"] or f"row {number}"
    try:
        if not row["audio"]:
            raise Unusable("missing audio", f"row {number} names no file")
        start_s, end_s = _times(row)
        return Utterance(
            # Not from the row's number, so that a row more changes no other id.
            id=row.get("id") or row["audio"] + (f"@{start_s}" if row.get("start_s") else ""),
            audio=folder.locate(row["audio"]),
            text=row["text"] or "",
            language=_language(row, data),
            split=_split(row),
            speaker=row.get("speaker"),
            start_s=start_s,
            duration_s=None if end_s is None else end_s - start_s,
            timed=bool(row.get("start_s") and row.get("end_s")),
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
    code = language_code(name, data.languages)
    if code is None:
        raise Unusable("unknown language", f"{name!r} is none of Whisper's; set data.languages: {hint(name)}")
    return code


def _split(row: Row) -> Split | None:
    name = row.get("split")
    split = split_named(name) if name else None
    if name and split is None:
        raise Unusable("unknown split", f"{name!r} is none of train, validation, test")
    return split
