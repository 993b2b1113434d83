"""Rows -> a table of each kind, whatever their cells hold: half of a surrogate pair becomes bytes that are no UTF-8."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

COLUMNS = ("audio", "text", "id", "language", "speaker", "split", "start_s", "end_s")
SUFFIXES = (".csv", ".jsonl", ".parquet")


def write_table(path: Path, rows: Sequence[dict[str, str]]) -> None:
    """Of the kind that the path's suffix says."""
    match path.suffix:
        case ".csv":
            file = io.StringIO(newline="")
            writer = csv.DictWriter(file, COLUMNS, restval="", quoting=csv.QUOTE_ALL)
            writer.writeheader()
            writer.writerows(rows)
            path.write_bytes(_bytes(file.getvalue()))
        case ".jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="ascii")
        case ".parquet":
            columns = {name: [_bytes(row[name]) if name in row else None for row in rows] for name in COLUMNS}
            pq.write_table(pa.table({name: pa.array(cells, pa.binary()) for name, cells in columns.items()}), path)


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogatepass")
