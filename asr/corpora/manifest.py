"""The manifest: utterances -> `manifest.parquet`, a row each in the corpus' order, and back."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from asr.storage import is_remote
from asr.utterances import SPLITS, Utterance

MANIFEST = "manifest.parquet"
ROWS_PER_GROUP = 10_000  # as many as are read at once: what a corpus of any size takes in memory
SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("audio", pa.string(), nullable=False),
        pa.field("start_s", pa.float64(), nullable=False),
        pa.field("duration_s", pa.float64()),
        pa.field("timed", pa.bool_(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("language", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("speaker", pa.string()),
        pa.field("source_bytes", pa.int64(), nullable=False),
        pa.field("row", pa.int32()),
        pa.field("source", pa.string()),
    ]
)


_UNCUT = SCHEMA.set(SCHEMA.get_field_index("split"), pa.field("split", pa.string()))


def write(utterances: Sequence[Utterance], folder: Path) -> None:
    """Writes the manifest of rows that have a split each."""
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(_table(utterances, SCHEMA), folder / MANIFEST, compression="zstd")


class Draft:
    """The rows of a manifest whose splits are not cut yet, on disk. A context manager, which removes it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / f"{MANIFEST}.draft"

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._writer = pq.ParquetWriter(self._path, _UNCUT, compression="zstd", compression_level=1)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()
        self._path.unlink()

    def write(self, utterances: Sequence[Utterance]) -> None:
        """Some more rows, a row group of them."""
        if utterances:
            self._writer.write_table(_table(utterances, _UNCUT))

    def chosen(self, rows: NDArray[np.bool_]) -> Iterator[Utterance]:
        """Some of the rows, without a split; none can be added from now on."""
        self._writer.close()
        n_done = 0
        with pq.ParquetFile(self._path) as draft:
            for batch in draft.iter_batches(ROWS_PER_GROUP):
                for row in batch.filter(pa.array(rows[n_done : n_done + len(batch)])).to_pylist():
                    yield Utterance(**row)
                n_done += len(batch)

    def finish(self, splits: NDArray[np.int8], kept: NDArray[np.bool_]) -> None:
        """Writes the manifest of the rows that are `kept`; `splits` are the places in `SPLITS` of all, in order."""
        self._writer.close()
        names = np.array(SPLITS, object)
        n_done = 0
        with (
            pq.ParquetFile(self._path) as draft,
            pq.ParquetWriter(self._folder / MANIFEST, SCHEMA, compression="zstd") as writer,
        ):
            for batch in draft.iter_batches(ROWS_PER_GROUP):
                here = slice(n_done, n_done + len(batch))
                split = pa.array(names[splits[here]], pa.string())
                columns = [split if name == "split" else batch[name] for name in SCHEMA.names]
                rows = pa.Table.from_arrays(columns, schema=SCHEMA)
                writer.write_table(rows if kept[here].all() else rows.filter(pa.array(kept[here])))
                n_done += len(batch)
        assert n_done == len(splits)


def _table(utterances: Sequence[Utterance], schema: pa.Schema) -> pa.Table:
    return pa.table({name: [getattr(row, name) for row in utterances] for name in schema.names}, schema)


def read(folder: Path) -> Iterator[Utterance]:
    """The utterances of a manifest, in its order, in the memory of a batch."""
    with pq.ParquetFile(folder / MANIFEST) as file:
        for batch in file.iter_batches(ROWS_PER_GROUP):
            for row in batch.to_pylist():
                yield Utterance(**row)


def languages(folder: Path) -> list[str]:
    """Those of the utterances, by code."""
    return sorted({name for batch in _column(folder, "language") for name in batch.unique().to_pylist()})


def count_local(folder: Path) -> tuple[int, int]:
    """Utterances whose audio lies on this machine, and all of them."""
    n_local = n_rows = 0
    for paths in _column(folder, "audio"):
        n_local += sum(not is_remote(path) for path in paths.to_pylist())
        n_rows += len(paths)
    return n_local, n_rows


def _column(folder: Path, name: str) -> Iterator[pa.Array]:
    with pq.ParquetFile(folder / MANIFEST) as file:
        for batch in file.iter_batches(ROWS_PER_GROUP, columns=[name]):
            yield batch[0]
