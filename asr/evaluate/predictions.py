"""What models heard in a split -> files, and back together with what the corpus says."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from asr.errors import UserError
from asr.shards import read_columns

PREDICTIONS = "predictions.parquet"
SYSTEMS = ("hypothesis", "hypothesis_30s", "baseline")
_COUNTS = "counts"  # in the metadata of what one model heard
SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("id", "language", "reference", *SYSTEMS, "speaker")]
    + [("duration_s", pa.float32()), ("source", pa.string())]
)


@dataclass(frozen=True, slots=True)
class Prediction:
    """An utterance of the test split: the corpus' text, and what three decodings made of it, all as written.

    `hypothesis` is the tuned model's at its window, `hypothesis_30s` the same model's at 30 s, `baseline` the
    base checkpoint's at 30 s. `speaker` and `duration_s` are None where they are unknown, `source` but in a mixture.
    """

    id: str
    language: str
    speaker: str | None
    reference: str
    hypothesis: str
    hypothesis_30s: str
    baseline: str
    duration_s: float | None = None
    source: str | None = None


def write_hypotheses(hypotheses: Mapping[str, str], counts: Mapping[str, int], folder: Path) -> None:
    """Utterance id -> text as one model wrote it, and what decoding has counted."""
    folder.mkdir(parents=True, exist_ok=True)
    table = pa.table({"id": list(hypotheses), "hypothesis": list(hypotheses.values())})
    table = table.replace_schema_metadata({_COUNTS: json.dumps(dict(counts), sort_keys=True)})
    pq.write_table(table, folder / PREDICTIONS, compression="zstd")


def read_hypotheses(folder: Path) -> tuple[dict[str, str], dict[str, int]]:
    """The texts by utterance id, and the counts. Raises `UserError` where there are none."""
    path = folder / PREDICTIONS
    try:
        table = pq.read_table(path)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run `dvc repro baseline baseline_sets`") from None
    counts = json.loads((table.schema.metadata or {}).get(_COUNTS.encode(), "{}"))
    return dict(zip(table["id"].to_pylist(), table["hypothesis"].to_pylist(), strict=True)), counts


def join(features: Path, split: str, systems: Mapping[str, Mapping[str, str]]) -> list[Prediction]:
    """The rows of a split with what each system heard: `hypothesis`, `hypothesis_30s` and `baseline`, by id.

    Raises `UserError` where one of them did not hear exactly these rows.
    """
    rows = read_columns(features, split, ["id", "language", "speaker", "text", "duration_s", "source"]).to_pylist()
    ids = {row["id"] for row in rows}
    for name, heard in systems.items():
        if heard.keys() != ids:
            n_missing, n_foreign = len(ids - heard.keys()), len(heard.keys() - ids)
            raise UserError(
                f"{name}: predictions of other rows than the {split} split's: of its {len(ids):,} rows {n_missing:,} "
                f"are missing, and {n_foreign:,} are of none; run `dvc repro -f baseline`"
            )
    return [
        Prediction(
            id=row["id"],
            language=row["language"],
            speaker=row["speaker"],
            reference=row["text"],
            **{name: systems[name][row["id"]] for name in SYSTEMS},
            duration_s=row["duration_s"],
            source=row.get("source"),  # features of version 3, of a further test set, have none
        )
        for row in rows
    ]


def columns(predictions: Sequence[Prediction]) -> dict[str, list[Any]]:
    """As predictions.parquet has them."""
    return {name: [getattr(row, name) for row in predictions] for name in SCHEMA.names}


def write_predictions(predictions: Sequence[Prediction], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns(predictions), SCHEMA), folder / PREDICTIONS, compression="zstd")
