"""Rows that are not used -> `rejects.parquet`, each with its reason; and their commonest reasons as a phrase."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from asr.utterances import Rejected

REJECTS = "rejects.parquet"
_SCHEMA = pa.schema([("id", pa.string()), ("reason", pa.string()), ("detail", pa.string())])


def write_rejects(folder: Path, rejected: Sequence[Rejected]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    columns = {name: [getattr(row, name) for row in rejected] for name in _SCHEMA.names}
    pq.write_table(pa.table(columns, _SCHEMA), folder / REJECTS, compression="zstd")


def read_rejects(folder: Path) -> list[Rejected]:
    return [Rejected(**row) for row in pq.read_table(folder / REJECTS).to_pylist()]


def count_reasons(rejected: Iterable[Rejected]) -> dict[str, int]:
    """Reason -> rows, commonest first."""
    return dict(Counter(row.reason for row in rejected).most_common())


def commonest(rejected: Iterable[Rejected]) -> str:
    """As in "12 too long, 3 silent"."""
    return ", ".join(f"{count:,} {reason}" for reason, count in count_reasons(rejected).items())
