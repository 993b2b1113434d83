"""A file of a dataset (Parquet, or Arrow as `save_to_disk` has it) -> its rows block by block, without their audio."""

import difflib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from asr import storage
from asr.errors import UserError
from asr.sources.rows import bytes_of_text, plain

ROWS_AT_ONCE = 10_000
# Ours -> what datasets call it, the commonest first.
NAMES = {
    "audio": ("audio",),
    "text": ("text", "sentence", "transcription"),
    "id": ("id",),
    "language": ("language", "locale"),
    "speaker": ("speaker", "speaker_id", "client_id"),
}
REQUIRED = ("audio", "text")

Chosen: TypeAlias = dict[str, str]  # our names -> theirs, of the columns that are there
Chooser: TypeAlias = Callable[[pa.Schema], Chosen]  # may raise `UserError`


@dataclass(frozen=True)
class Rows:
    """Some rows of a block, in order."""

    block: int
    first: int  # place in the block of the first one
    batch: pa.RecordBatch  # the columns of text, under our names
    paths: Sequence[str | None]  # what the audio's column says of a file, which need not exist
    cell_bytes: int | None  # of the audio in a row, on average; None where the column has none

    def texts(self, ours: str) -> list[str | None]:
        """A column's cells; nothing but None where there is no such column."""
        if ours not in self.batch.schema.names:
            return [None] * len(self.batch)
        return [plain(cell) for cell in bytes_of_text(self.batch[ours]).to_pylist()]


def choose(schema: pa.Schema, columns: dict[str, str], path: str) -> Chosen:
    """The columns that are used. Raises `UserError` for one that must be there and is not, or is of another kind."""
    for ours in columns.keys() - NAMES.keys():
        raise UserError(f"data.huggingface.columns: {ours}: unknown; ours are {' '.join(NAMES)}")
    chosen = {}
    for ours, usual in NAMES.items():
        present = [name for name in ([columns[ours]] if ours in columns else usual) if name in schema.names]
        if present:
            chosen[ours] = present[0]
        elif ours in REQUIRED or ours in columns:
            wanted = columns.get(ours, usual[0])
            near = [*difflib.get_close_matches(wanted, schema.names, n=1), "its name there"][0]
            raise UserError(
                f"data.huggingface.path: {path} has no column {wanted!r}, but {', '.join(map(repr, schema.names))}; "
                f"set data.huggingface.columns: {{{ours}: {near}}}"
            )
    kind = schema.field(chosen["audio"]).type
    if not (_is_cell(kind) or _is_text(kind)):
        raise UserError(
            f"data.huggingface.path: {path}: column {chosen['audio']!r} is {kind}, and audio is struct<bytes, path>, "
            "bytes or a path; cast it to Audio() and save the dataset anew"
        )
    if "language" in chosen and "language" not in columns and not _is_text(schema.field(chosen["language"]).type):
        del chosen["language"]  # numbers of a ClassLabel
    return chosen


@contextmanager
def open_rows(path: str, choose: Chooser) -> Iterator[tuple[Chosen, Iterator[Rows]]]:
    """What was chosen of a file's columns, and its rows. Raises `UserError` where there is none, or it is damaged."""
    try:
        with storage.explained(path, needed=True), ExitStack() as opened:
            yield (_open_arrow if path.endswith(".arrow") else _open_parquet)(path, choose, opened)
    except (pa.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"data.huggingface.path: {path} cannot be read: {reason}; {_remedy(path)}") from None


def _remedy(path: str) -> str:
    """The hub's cache links a file of a snapshot to one that it keeps: without it all, the same one is linked again."""
    cached = next((folder for folder in Path(path).parents if folder.name.startswith("datasets--")), None)
    return f"remove {cached}, and it is downloaded again" if cached else "fetch it again"


def _open_parquet(path: str, choose: Chooser, opened: ExitStack) -> tuple[Chosen, Iterator[Rows]]:
    file = opened.enter_context(pq.ParquetFile(opened.enter_context(storage.open_parts(path)), pre_buffer=True))
    chosen = choose(file.schema_arrow)
    return chosen, _rows_of_parquet(file, chosen)


def _rows_of_parquet(file: pq.ParquetFile, chosen: Chosen) -> Iterator[Rows]:
    kind = file.schema_arrow.field(chosen["audio"]).type
    path, cell = _leaves(chosen["audio"], kind)
    texts = {ours: theirs for ours, theirs in chosen.items() if ours != "audio"}
    for block in range(file.num_row_groups):
        cell_bytes = _cell_bytes(file.metadata.row_group(block), cell)
        first = 0
        for batch in file.iter_batches(ROWS_AT_ONCE, [block], [*texts.values(), *([path] if path else [])]):
            paths = _paths(batch[chosen["audio"]]) if path else [None] * len(batch)
            yield Rows(block, first, _renamed(batch, texts), paths, cell_bytes)
            first += len(batch)


def _open_arrow(path: str, choose: Chooser, opened: ExitStack) -> tuple[Chosen, Iterator[Rows]]:
    if storage.is_remote(path):
        raise UserError(f"data.huggingface.stream: {path} is Arrow, which is read here only; set stream: false")
    stream = opened.enter_context(pa.ipc.open_stream(opened.enter_context(pa.memory_map(path))))
    chosen = choose(stream.schema)
    return chosen, _rows_of_arrow(stream, chosen)


def _rows_of_arrow(stream: pa.RecordBatchReader, chosen: Chosen) -> Iterator[Rows]:
    texts = {ours: theirs for ours, theirs in chosen.items() if ours != "audio"}
    for block, batch in enumerate(stream):
        column = batch[chosen["audio"]]
        cells = _cells(column)
        cell_bytes = None
        if cells is not None and cells.null_count < len(cells):
            cell_bytes = pc.sum(pc.binary_length(cells)).as_py() // len(cells)
        paths = [None] * len(batch) if cells is not None and "path" not in _members(column.type) else _paths(column)
        yield Rows(block, 0, _renamed(batch, texts), paths, cell_bytes)


def _renamed(batch: pa.RecordBatch, texts: Chosen) -> pa.RecordBatch:
    if not texts:
        return batch.select([])
    return pa.RecordBatch.from_arrays([batch[theirs] for theirs in texts.values()], names=list(texts))


def _leaves(column: str, kind: pa.DataType) -> tuple[str | None, str | None]:
    """Of Parquet: the leaves of the audio's column with paths and with bytes, where there are such."""
    if _is_text(kind):
        return column, None
    if not pa.types.is_struct(kind):
        return None, column
    return (f"{column}.path" if "path" in _members(kind) else None), f"{column}.bytes"


def _cell_bytes(group: pq.RowGroupMetaData, leaf: str | None) -> int | None:
    """Of a row's audio on average; None where no row has any."""
    for number in range(group.num_columns):
        column = group.column(number)
        if column.path_in_schema == leaf and group.num_rows:
            statistics = column.statistics
            is_empty = statistics is not None and statistics.null_count == group.num_rows
            return None if is_empty else int(column.total_compressed_size) // group.num_rows
    return None


def _cells(column: pa.Array) -> pa.Array | None:
    if not pa.types.is_struct(column.type):
        return None if _is_text(column.type) else column
    return column.flatten()[column.type.get_field_index("bytes")]


def _paths(column: pa.Array) -> list[str | None]:
    """What a column of paths says, or of structs with one."""
    if pa.types.is_struct(column.type):
        column = column.flatten()[column.type.get_field_index("path")]
    return [plain(cell) for cell in bytes_of_text(column).to_pylist()]


def _is_cell(kind: pa.DataType) -> bool:
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or "bytes" in _members(kind)


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _members(kind: pa.DataType) -> list[str]:
    return [member.name for member in kind] if pa.types.is_struct(kind) else []
