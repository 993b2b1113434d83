"""Recordings in the order in which they are wanted -> opened files, read ahead or one after the other.

An answer of a store takes longer than decoding a clip, so that its objects are fetched while others are decoded: a
processor would mostly wait. Audio that is embedded in a dataset's file (Parquet, or Arrow as `datasets` saves it) is
read along a block of rows, of which a few are in memory.
"""

import errno
import io
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from types import TracebackType
from typing import IO, Self

import pyarrow as pa
import pyarrow.parquet as pq

from asr import storage
from asr.stores import explained
from asr.utterances import Block

REQUESTS = 16  # under way together
ROWS_AT_ONCE = 16  # of a block in memory
BUFFER_BYTES = 8 * 2**20  # that one request reads of a block's column; a page of it is in memory
# Sound shrinks to a few parts of ten. Arrow unpacks a cell whole, whatever it holds.
SHRINKS, MOST_BYTES = 30, 64 * 2**20
HELD_BYTES = 32 * 2**20  # fetched and waiting, by the sizes that are told; the next one is fetched in any case


class Ahead:
    """`wanted` are path and size in bytes of each file. A context manager; `open_read` takes them in their order."""

    def __init__(self, wanted: Iterable[tuple[str, int]]) -> None:
        self._waiting = deque((path, size) for path, size in wanted if storage.is_remote(path))
        self._coming: deque[tuple[str, int, Future[IO[bytes]]]] = deque()
        self._threads = ThreadPoolExecutor(REQUESTS) if self._waiting else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._threads:
            self._threads.shutdown(cancel_futures=True)

    def open_read(self, path: str) -> IO[bytes]:
        """As `storage.open_read`, and raises what that raises."""
        if not self._threads or not storage.is_remote(path):
            return storage.open_read(path)
        self._fetch()
        expected, _, coming = self._coming.popleft()
        assert path == expected, f"{path} was opened where {expected} was wanted"
        self._fetch()
        return coming.result()

    def _fetch(self) -> None:
        assert self._threads
        while self._waiting and len(self._coming) < REQUESTS:
            path, size = self._waiting[0]
            if self._coming and sum(size for _, size, _ in self._coming) + size > HELD_BYTES:
                return
            self._waiting.popleft()
            self._coming.append((path, size, self._threads.submit(storage.open_read, path)))


class Cells:
    """A context manager; `open_read` keeps its last block open, so that rows in their order are read once."""

    def __init__(self) -> None:
        self._opened = ExitStack()
        self._audio: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()

    def open_read(self, audio: str, row: int) -> IO[bytes]:
        """The bytes in a row of the block that `audio` says.

        Raises `OSError` where there is no such file, where it is damaged (EBADMSG) or the cell is empty (ENOENT), and
        `UserError` where a store does not answer.
        """
        block = Block.of(audio)
        try:
            if audio != self._audio or row < self._next:
                self._open(block)
                self._audio = audio
            content = self._cell(row)
        except Exception as error:
            self._audio = None
            if isinstance(error, pa.ArrowException | KeyError) or (isinstance(error, OSError) and error.errno is None):
                raise OSError(errno.EBADMSG, " ".join(str(error).split())) from None
            raise
        if content is None:
            raise FileNotFoundError(errno.ENOENT, f"no audio is embedded in row {row}")
        return io.BytesIO(content)

    def _open(self, block: Block) -> None:
        self._opened.close()
        self._next = 0
        self._cells = _cells(block, self._opened)

    def _cell(self, row: int) -> bytes | None:
        for content in self._cells:
            self._next += 1
            if self._next > row:
                return content
        raise pa.ArrowInvalid(f"there is no row {row}")


def _cells(block: Block, opened: ExitStack) -> Iterator[bytes | None]:
    """Of one row after the other, a few of which are in memory. The file is open as long as `opened`."""
    batches = _of_arrow(block, opened) if block.path.endswith(".arrow") else _of_parquet(block, opened)
    for batch in batches:
        column = batch.column(0)
        if pa.types.is_struct(column.type):
            column = column.flatten()[column.type.get_field_index("bytes")]  # null where the struct is
        for cell in column:
            yield cell.as_py()


def _of_parquet(block: Block, opened: ExitStack) -> Iterator[pa.RecordBatch]:
    with explained(block.path):
        source = opened.enter_context(storage.open_parts(block.path))
        file = opened.enter_context(pq.ParquetFile(source, buffer_size=BUFFER_BYTES, pre_buffer=False))
        kind = file.schema_arrow.field(block.column).type
        leaf = f"{block.column}.bytes" if pa.types.is_struct(kind) else block.column
        if block.number < file.num_row_groups:  # else it is another file than it was
            _check(file.metadata.row_group(block.number), leaf)
        yield from file.iter_batches(ROWS_AT_ONCE, [block.number], [leaf], use_threads=False)


def _check(group: pq.RowGroupMetaData, leaf: str) -> None:
    """Raises `OSError` for a column that unpacks to what no sound does, before memory is taken for it."""
    for column in map(group.column, range(group.num_columns)):
        packed, unpacked = column.total_compressed_size, column.total_uncompressed_size
        if column.path_in_schema == leaf and unpacked > max(MOST_BYTES, SHRINKS * packed):
            raise OSError(errno.EBADMSG, f"{packed} bytes of column {leaf!r} unpack to {unpacked}, as no sound does")


def _of_arrow(block: Block, opened: ExitStack) -> Iterator[pa.RecordBatch]:
    """Mapped into memory, so that what is passed over is not read."""
    source = opened.enter_context(pa.memory_map(block.path))
    for number, batch in enumerate(pa.ipc.open_stream(source)):
        if number == block.number:
            yield batch.select([block.column])
