"""Blocks (row groups) of shards in the order in which they are wanted -> their rows, checked and read ahead.

A shard is checked against the index' sha256 when it is first read, and each of its pages against its own checksum
whenever it is. What is wrong with one is a `UserError` that names it.
"""

import hashlib
import os
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from threading import Lock
from typing import IO, Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from asr import storage
from asr.errors import UserError
from asr.shards import Index

OPEN_SHARDS = 32  # of which the footer is kept, so that a row group is one read
READ_AHEAD = 4  # blocks, 5 MB each for clips of 5 s
REQUESTS = 4  # to a store, under way together
REMEDY = "run `dvc repro -f preprocess`"


class Block(NamedTuple):
    """A row group of a shard: `n_rows` rows, the first of which is row `first_row` of its split."""

    shard: int  # its number in the split
    row_group: int
    first_row: int
    n_rows: int


class Shards:
    """The shards of a split, for one process; at most `OPEN_SHARDS` stay open, and none once it is closed.

    `checked` (bool, one for each shard) says of which the sha256 was found right. It lies in shared memory, so that
    neither later epochs nor other workers of a DataLoader check one again.
    """

    def __init__(self, index: Index, split: str, checked: torch.Tensor | None = None) -> None:
        """Without `checked`, nothing is compared with sha256, only with the size."""
        self.entries = index.splits.get(split, [])
        self.is_remote = storage.is_remote(index.root)
        self._root, self._checked = index.root, checked
        self._opened = lru_cache(OPEN_SHARDS)(self._open)
        self._locks = [Lock() for _ in self.entries]

    def close(self) -> None:
        """Without it they stay open until the garbage is collected, many epochs later."""
        self._opened.cache_clear()

    def uri(self, shard: int) -> str:
        return storage.join(self._root, self.entries[shard].name)

    def read(self, block: Block, columns: list[str]) -> pa.Table:
        """Some of the columns of a block; may be called from several threads."""
        # A Parquet file keeps what it has fetched of a row group, and so serves one reader at a time.
        with self._locks[block.shard], explained(self.uri(block.shard)):
            file = self._opened(block.shard)
            if self._checked is not None and not self._checked[block.shard]:
                self._check(block.shard)
            return file.read_row_group(block.row_group, columns, use_threads=False)

    def blocks(self, shard: int, first_row: int) -> list[Block]:
        """Those of a shard of which the first row is `first_row` of the split."""
        blocks = []
        with explained(self.uri(shard)):
            footer = self._opened(shard).metadata
        for group in range(footer.num_row_groups):
            blocks.append(Block(shard, group, first_row, footer.row_group(group).num_rows))
            first_row += blocks[-1].n_rows
        return blocks

    def _open(self, shard: int) -> pq.ParquetFile:
        """What lies together in an object is one request."""
        uri, expected_bytes = self.uri(shard), self.entries[shard].bytes
        source: Any = storage.open_parts(uri) if self.is_remote else uri
        size_bytes = source.size if self.is_remote else os.stat(uri).st_size
        if size_bytes != expected_bytes:
            raise _unlike_index(uri, f"{size_bytes:,} bytes", f"{expected_bytes:,}")
        return pq.ParquetFile(source, pre_buffer=self.is_remote, page_checksum_verification=True)

    def _check(self, shard: int) -> None:
        """Reads the whole shard once; a remote one by a request for each 64 MB."""
        assert self._checked is not None
        with storage.open_read(self.uri(shard)) as source:
            sha256 = _sha256(source)
        expected = self.entries[shard].sha256
        if sha256 != expected:
            raise _unlike_index(self.uri(shard), f"sha256 {sha256[:12]}...", f"{expected[:12]}...")
        self._checked[shard] = True


def _sha256(source: IO[bytes]) -> str:
    return hashlib.file_digest(source, "sha256").hexdigest()  # type: ignore[arg-type]


def _unlike_index(uri: str, found: str, expected: str) -> UserError:
    return UserError(f"{uri}: {found}, not {expected} as the index has it: cut short or altered; {REMEDY}")


@contextmanager
def explained(uri: str) -> Iterator[None]:
    """Turns what reading a shard raises into one line that names it and the remedy."""
    try:
        with storage.explained(uri, needed=True):
            yield
    except UserError:
        raise
    except FileNotFoundError:
        raise UserError(f"{uri}: the index lists this shard, but there is no such file; {REMEDY}") from None
    except (OSError, pa.ArrowException) as error:
        why = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise UserError(f"{uri}: this shard can't be read ({why}); {REMEDY}") from error


def read_ahead(
    shards: Shards, blocks: Iterable[Block], columns: list[str]
) -> Generator[tuple[Block, pa.Table], None, None]:
    """The blocks in their order; the next `READ_AHEAD` are read meanwhile, in threads of this process."""
    waiting = iter(blocks)
    coming: deque[tuple[Block, Future[pa.Table]]] = deque()
    threads = ThreadPoolExecutor(REQUESTS if shards.is_remote else 1)
    try:
        while True:
            for block in waiting:
                coming.append((block, threads.submit(shards.read, block, columns)))
                if len(coming) > READ_AHEAD:
                    break
            if not coming:
                return
            block, table = coming.popleft()
            yield block, table.result()
    finally:
        threads.shutdown(cancel_futures=True)
