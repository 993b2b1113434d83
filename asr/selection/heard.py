"""`data/agreement`: what the base checkpoint heard in each train utterance, as a file; empty where it was not asked."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

HEARD = "heard.parquet"
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("hypothesis", pa.string()),  # as written
        ("errors", pa.int32()),  # normalised
        ("units", pa.int32()),  # words, or characters where a language has no spaces
    ]
)


def write_nothing(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(SCHEMA.empty_table(), folder / HEARD)


def read_rates(folder: Path) -> dict[str, float]:
    """Errors for each word (or character) of the text, by id; a text without any is left out."""
    rows = pq.read_table(folder / HEARD, columns=["id", "errors", "units"]).to_pylist()
    return {row["id"]: row["errors"] / row["units"] for row in rows if row["units"]}
