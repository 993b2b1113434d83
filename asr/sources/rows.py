"""A table file (CSV, TSV, JSONL or Parquet) -> its rows, under our names for the columns.

Bytes that are not UTF-8 become lone surrogates (Python's `surrogateescape`), which the manifest rejects row by row.
"""

import codecs
import difflib
import json
import math
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import PurePosixPath
from typing import IO, Any, TypeAlias

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from asr import params, storage
from asr.errors import UserError
from asr.utterances import Rejected

UTF8 = "utf-8"
CHECKED_BYTES = 2**20  # at once
REQUIRED = ("audio", "text")
COLUMNS = (*REQUIRED, "id", "language", "speaker", "split", "start_s", "end_s")

# What other corpora call them, for the hint in the error alone.
_ELSEWHERE = {
    "audio": ("path", "file", "file_name", "filename", "audio_filepath", "audio_path", "wav", "clip"),
    "text": ("sentence", "transcript", "transcription", "transcripts", "normalized_text", "utterance", "label"),
}

Row: TypeAlias = dict[str, str | None]  # our names -> values as text; None where the cell is empty
Raw: TypeAlias = dict[str, Any] | Rejected  # a row as it was read
Chooser: TypeAlias = Callable[[list[str]], dict[str, str]]  # the columns that are there -> our names: theirs


def read_rows(table: params.Table) -> Iterator[Row | Rejected]:
    """The rows of a table, in its order; those that cannot be read are rejected.

    Raises `UserError` if there is no such file, its kind is unknown, it is damaged as a whole, or a column is missing.
    """
    path = table.path or ""
    found = storage.stored([path])[path]
    if isinstance(found, storage.Absent):
        remedy = "give the path of the table from this folder, or its gs:// or s3:// URI"
        raise UserError(f"data.table.path: there is no file {path}; {remedy} ({found.why})")
    reader = _READERS.get(PurePosixPath(path).suffix.casefold())
    if reader is None:
        raise UserError(
            f"data.table.path: {table.path} is of no known kind; its name must end in one of {' '.join(_READERS)}"
        )
    try:
        for number, raw in enumerate(reader(path, partial(_choose, path, table.columns)), 1):
            yield raw if isinstance(raw, Rejected) else _plain_row(raw, number)
    except (pa.ArrowException, UnicodeDecodeError, OSError, OverflowError, LookupError) as error:
        # The last two: a time that Python has none for, or of a zone that nobody knows.
        hint = "; is a quote never closed?" if "straddling" in str(error) else ""
        raise UserError(f"data.table.path: {table.path} cannot be read: {' '.join(str(error).split())}{hint}") from None


def _choose(path: str, columns: dict[str, str], present: list[str]) -> dict[str, str]:
    """Our names -> theirs, for the columns that are there. Raises `UserError` for one that must be and is not."""
    for ours in columns.keys() - set(COLUMNS):
        raise UserError(f"data.table.columns: {ours}: unknown; a table's columns are {' '.join(COLUMNS)}")
    chosen = {}
    for ours in COLUMNS:
        theirs = columns.get(ours, ours)
        if present.count(theirs) > 1:
            raise UserError(
                f"data.table.path: {path} has {present.count(theirs)} columns {theirs!r}; rename or remove one"
            )
        if theirs in present:
            chosen[ours] = theirs
        elif ours in REQUIRED or ours in columns:
            known = [name for name in _ELSEWHERE.get(ours, ()) if name in present]
            near = [*difflib.get_close_matches(theirs, present, n=1), *known, "its name there"][0]
            raise UserError(
                f"data.table.path: {path} has no column {theirs!r}, but {', '.join(map(repr, present))}; "
                f"set data.table.columns: {{{ours}: {near}}}"
            )
    return chosen


def _plain_row(raw: dict[str, Any], number: int) -> Row | Rejected:
    for ours, value in raw.items():
        if not isinstance(value, str | bytes | int | float | None):
            return Rejected(f"row {number}", "bad row", f"{ours} is of type {type(value).__name__}")
    return {ours: plain(value) for ours, value in raw.items()}


def plain(value: str | bytes | float | None) -> str | None:
    """A cell as text; None where it is empty."""
    if isinstance(value, bytes):
        value = value.decode(errors="surrogateescape")
    if isinstance(value, float):
        if math.isnan(value):  # pandas' empty cell
            return None
        value = int(value) if value.is_integer() else value  # and its integers, in a column with empty cells
    return None if value is None or value == "" else str(value)


def _comma_separated(path: str, choose: Chooser) -> Iterator[Raw]:
    return _delimited(path, choose, newlines_in_values=True)


def _tab_separated(path: str, choose: Chooser) -> Iterator[Raw]:
    """Without quoting, as Common Voice writes it, where a quote that opens a sentence may never close."""
    for row in _delimited(path, choose, delimiter="\t", quote_char=False):
        yield row if isinstance(row, Rejected) else {ours: _unquoted(cell) for ours, cell in row.items()}


def _unquoted(cell: bytes) -> bytes:
    """The cell as meant by a writer that quotes all the same (pandas): in quotes, with the inner ones doubled."""
    quoted = b'""' in cell[1:-1] and re.fullmatch(rb'"(?:[^"]|"")*"', cell)
    return cell[1:-1].replace(b'""', b'"') if quoted else cell


def _delimited(path: str, choose: Chooser, **dialect: Any) -> Iterator[Raw]:
    skipped: list[Rejected] = []

    def skip(row: pa.csv.InvalidRow) -> str:
        cells = f"{row.actual_columns} cells for {row.expected_columns} columns"
        text = row.text.encode(encoding).decode(errors="surrogateescape")
        skipped.append(Rejected(f"line {row.number}", "bad row", f"{cells}: {text[:80]}"))
        return "skip"

    parse = pa.csv.ParseOptions(invalid_row_handler=skip, **dialect)
    with storage.open_read(path) as source:
        start, encoding, n_quotes = _start_encoding_and_quotes(source)
        read = pa.csv.ReadOptions(use_threads=False, encoding=encoding)  # with threads, bad rows have no numbers
        source.seek(start)
        header = _header(source, read, parse)
        present = [name.encode(encoding).decode() for name in header]
        names = dict(zip(present, header, strict=True))
        chosen = choose(present)
        skipped.clear()
        source.seek(start)
        binary = {names[theirs]: pa.binary() for theirs in chosen.values()}
        convert = pa.csv.ConvertOptions(include_columns=list(binary), column_types=binary, strings_can_be_null=False)
        row: dict[str, Any] = {}
        with pa.csv.open_csv(source, read, parse, convert) as file:
            for batch in file:
                rows = _renamed(batch, {ours: names[theirs] for ours, theirs in chosen.items()})
                for row in rows if encoding == UTF8 else map(_from_latin, rows):
                    yield row
    if parse.quote_char and n_quotes % 2 and any(b"\n" in (cell or b"") for cell in row.values()):
        text = " ".join(str(plain(cell)) for cell in row.values())
        raise UserError(f"data.table.path: {path}: a quote is opened and never closed, in {text[:80]!r}")
    yield from skipped


def _start_encoding_and_quotes(source: IO[bytes]) -> tuple[int, str, int]:
    """Where the text begins, as what it is read (in Latin 1, every byte is a letter), and how many quotes it has.

    Arrow tells nobody of a row with too many cells in which there are bytes that are not UTF-8, and ends.
    """
    decoder, encoding, n_quotes = codecs.getincrementaldecoder(UTF8)(), UTF8, 0
    start = len(codecs.BOM_UTF8) if source.read(len(codecs.BOM_UTF8)) == codecs.BOM_UTF8 else 0
    source.seek(start)
    while chunk := source.read(CHECKED_BYTES):
        n_quotes += chunk.count(b'"')
        try:
            decoder.decode(chunk, final=len(chunk) < CHECKED_BYTES)
        except UnicodeDecodeError:
            decoder, encoding = codecs.getincrementaldecoder("latin-1")(), "latin-1"
    return start, encoding, n_quotes


def _from_latin(row: dict[str, Any]) -> dict[str, bytes]:
    """The row with the bytes that are in the file."""
    return {ours: cell.decode().encode("latin-1") for ours, cell in row.items()}


def _header(source: IO[bytes], read: pa.csv.ReadOptions, parse: pa.csv.ParseOptions) -> list[str]:
    """The names of the columns. Nothing reads ahead in `source` any more when this returns: the reader is gone."""
    with pa.csv.open_csv(source, read, parse) as file:
        return list(file.schema.names)


def _json_lines(path: str, choose: Chooser) -> Iterator[Raw]:
    with storage.open_read(path) as source:
        names = {  # in the order of the file
            name: None for row in _json_objects(source) if not isinstance(row, Rejected) for name in row
        }
        chosen = choose(list(names)) if names else {}
        source.seek(0)
        for row in _json_objects(source):
            yield row if isinstance(row, Rejected) else {ours: row.get(theirs) for ours, theirs in chosen.items()}


def _json_objects(lines: IO[bytes]) -> Iterator[Raw]:
    for number, line in enumerate(lines, 1):
        line = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
        if line.strip():
            yield _json_object(line, number)


def _json_object(line: bytes, number: int) -> Raw:
    try:
        content = json.loads(line.decode(errors="surrogateescape"))
    except (ValueError, RecursionError) as error:
        return Rejected(f"line {number}", "bad row", f"not JSON: {error}")
    return content if isinstance(content, dict) else Rejected(f"line {number}", "bad row", "not a JSON object")


def _parquet(path: str, choose: Chooser) -> Iterator[Raw]:
    with storage.open_read(path) as source, pq.ParquetFile(source) as file:
        chosen = choose(file.schema_arrow.names)
        for batch in file.iter_batches(columns=list(chosen.values())):
            yield from _renamed(batch, chosen)


def _renamed(batch: pa.RecordBatch, chosen: dict[str, str]) -> Iterator[dict[str, Any]]:
    """The rows of a batch under our names, with text as bytes, which need not be UTF-8."""
    columns = [bytes_of_text(batch.column(theirs)).to_pylist() for theirs in chosen.values()]
    for cells in zip(*columns, strict=True):
        yield dict(zip(chosen, cells, strict=True))


def bytes_of_text(column: pa.Array) -> pa.Array:
    """The column with text as bytes, which need not be UTF-8; others as they are."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return column.cast(pa.large_binary())
    return column


_READERS: dict[str, Callable[[str, Chooser], Iterator[Raw]]] = {
    ".csv": _comma_separated,
    ".tsv": _tab_separated,
    ".jsonl": _json_lines,
    ".parquet": _parquet,
}
