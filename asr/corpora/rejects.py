"""Rows that are not used -> `rejects.parquet`, each with its reason; and their commonest reasons as a phrase."""

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from asr.utterances import Rejected

REJECTS = "rejects.parquet"
_ROWS_PER_GROUP = 10_000
_SCHEMA = pa.schema([("id", pa.string()), ("reason", pa.string()), ("detail", pa.string())])


def write_rejects(folder: Path, rejected: Iterable[Rejected], name: str = REJECTS) -> dict[str, int]:
    """Writes the rows as they come, and returns how many there are of each reason, commonest first."""
    folder.mkdir(parents=True, exist_ok=True)
    reasons: Counter[str] = Counter()
    rows = iter(rejected)
    with pq.ParquetWriter(folder / name, _SCHEMA, compression="zstd") as writer:
        while block := list(islice(rows, _ROWS_PER_GROUP)):
            reasons.update(row.reason for row in block)
            columns = {name: [getattr(row, name) for row in block] for name in _SCHEMA.names}
            writer.write_table(pa.table(columns, _SCHEMA))
    return dict(reasons.most_common())


def read_rejects(folder: Path, name: str = REJECTS) -> list[Rejected]:
    return [Rejected(**row) for row in pq.read_table(folder / name).to_pylist()]


def count_reasons(rejected: Iterable[Rejected]) -> dict[str, int]:
    """Reason -> rows, commonest first."""
    return dict(Counter(row.reason for row in rejected).most_common())


def commonest(reasons: Mapping[str, int]) -> str:
    """As in "12 too long, 3 silent"."""
    return ", ".join(f"{count:,} {reason}" for reason, count in reasons.items())
