"""The manifest: utterances -> `manifest.parquet`, a row each in the corpus' order, and back."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from asr.storage import is_remote
from asr.utterances import Utterance

MANIFEST = "manifest.parquet"
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
    ]
)


def write(utterances: Sequence[Utterance], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    columns = {name: [getattr(row, name) for row in utterances] for name in SCHEMA.names}
    pq.write_table(pa.table(columns, SCHEMA), folder / MANIFEST, compression="zstd")


def read(folder: Path) -> Iterator[Utterance]:
    """The utterances of a manifest, in its order, in the memory of a batch."""
    with pq.ParquetFile(folder / MANIFEST) as file:
        for batch in file.iter_batches():
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
        for batch in file.iter_batches(columns=[name]):
            yield batch[0]
