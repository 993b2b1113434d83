"""A corpus' own text file, whatever its encoding and line ends -> its lines, rows or JSON objects.

A byte order mark says UTF-8 or UTF-16; a file without one is UTF-8. Bytes that are not become lone surrogates (Python's
`surrogateescape`), which the manifest rejects row by row.
"""

import codecs
import csv
import gzip
import json
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from asr.errors import UserError
from asr.utterances import Rejected

_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}

MOST_CHARACTERS = 16 * 2**20  # of a line, and of subtitles: a small .gz may unpack to gigabytes


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, without their ends, with their numbers from 1; of a `.gz`, what it holds."""
    with _opened(path) as file:
        for number, line in enumerate(_bounded(path, file), 1):
            if line.strip():
                yield number, line.rstrip("\n")


def text(path: Path) -> str:
    with _opened(path) as file:
        content = file.read(MOST_CHARACTERS + 1)
    if len(content) > MOST_CHARACTERS:
        raise UserError(f"{path} has over {MOST_CHARACTERS} characters; is it the right file?")
    return content


def objects(path: Path) -> Iterator[tuple[int, dict[str, Any] | Rejected]]:
    """The objects of a JSONL file, with the numbers of their lines."""
    for number, line in lines(path):
        yield number, _object(path, number, line)


def tab_separated(path: Path, needed: Sequence[str]) -> Iterator[tuple[int, dict[str, str] | Rejected]]:
    """The rows below the header, with the numbers of their lines; a quote is a letter like others.

    Raises `UserError` where a column of `needed` is missing, or any is there twice.
    """
    numbered = lines(path)
    header: list[str] = []
    for number, line in numbered:
        if not header:
            header = _checked_header(path, line.split("\t"), needed)
        else:
            yield number, _row(path, number, header, line.split("\t"))
    if not header:
        _checked_header(path, [], needed)


def comma_separated(path: Path, needed: Sequence[str]) -> Iterator[tuple[int, dict[str, str] | Rejected]]:
    """The same of a CSV file, whose cells may be quoted (RFC 4180)."""
    header: list[str] = []
    with _opened(path, newline="") as file:
        reader = csv.reader(_bounded(path, file))
        try:
            for cells in reader:
                if not header:
                    header = _checked_header(path, cells, needed)
                elif any(cells):
                    yield reader.line_num, _row(path, reader.line_num, header, cells)
        except csv.Error as error:
            raise UserError(f"{path}, line {reader.line_num}: {error}; is a quote never closed?") from None
    if not header:
        _checked_header(path, [], needed)


def _bounded(path: Path, file: IO[str]) -> Iterator[str]:
    """Its lines. Raises `UserError` for one that is too long, before it is in memory."""
    number = 0
    while line := file.readline(MOST_CHARACTERS + 1):
        number += 1
        if len(line) > MOST_CHARACTERS:
            raise UserError(f"{path}, line {number}: over {MOST_CHARACTERS} characters; is it the right file?")
        yield line


def _checked_header(path: Path, header: list[str], needed: Sequence[str]) -> list[str]:
    doubled = [name for name, n in Counter(header).items() if n > 1]
    if doubled:
        raise UserError(f"{path} has more than one column {doubled[0]!r}; rename or remove one")
    for name in needed:
        if name not in header:
            raise UserError(f"{path} has no column {name!r}, but {', '.join(map(repr, header)) or 'no line at all'}")
    return header


def _row(path: Path, number: int, header: list[str], cells: list[str]) -> dict[str, str] | Rejected:
    if len(cells) != len(header):
        return _bad(path, number, f"{len(cells)} cells for {len(header)} columns: {' '.join(cells)[:80]}")
    return dict(zip(header, cells, strict=True))


def _object(path: Path, number: int, line: str) -> dict[str, Any] | Rejected:
    try:
        content = json.loads(line)
    except ValueError as error:
        return _bad(path, number, f"not JSON: {error}")
    return content if isinstance(content, dict) else _bad(path, number, "not a JSON object")


def _bad(path: Path, number: int, detail: str) -> Rejected:
    return Rejected(f"{path.name}:{number}", "bad row", detail)


@contextmanager
def _opened(path: Path, newline: str | None = None) -> Iterator[IO[str]]:
    """Raises `UserError` for a `.gz` that is damaged."""
    opens = gzip.open if path.suffix == ".gz" else open
    try:
        with opens(path, "rb") as file:
            head = file.read(3)
        encoding = next((name for mark, name in _MARKS.items() if head.startswith(mark)), "utf-8")
        errors = "replace" if encoding == "utf-16" else "surrogateescape"  # which UTF-16 has not
        with opens(path, "rt", encoding=encoding, errors=errors, newline=newline) as content:
            yield content
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{path} is damaged or only half there ({error}); fetch it again") from None
