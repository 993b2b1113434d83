"""A selection -> `data/selection`: a weight for each train row, in the order of the features, and what is set aside."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from asr.corpora.rejects import write_rejects
from asr.errors import UserError
from asr.shards import Index
from asr.utterances import Rejected

WEIGHTS, SET_ASIDE, SUMMARY = "train.parquet", "set_aside.parquet", "selection.json"


@dataclass(frozen=True)
class Chosen:
    """`weights` of the train rows, in the features' order; None where all count alike. `n_rows` of them are trained."""

    weights: NDArray[np.float64] | None
    n_rows: int


def write(folder: Path, ids: list[str], weights: NDArray[np.float64], set_aside: list[Rejected], index: Index) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"id": ids, "weight": weights}), folder / WEIGHTS, compression="zstd")
    write_rejects(folder, set_aside, SET_ASIDE)
    summary = {"shards": _digest(index), "rows": len(ids), "kept": int(np.count_nonzero(weights))}
    (folder / SUMMARY).write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")


def read(folder: Path, index: Index) -> Chosen:
    """Raises `UserError` where there is no selection, or one of other features."""
    try:
        summary = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{folder / SUMMARY}: no such file; run `dvc repro selection`") from None
    if (summary["shards"], summary["rows"]) != (_digest(index), index.rows("train")):
        raise UserError(f"{folder} is the selection of other features; run `dvc repro -f selection`")
    weights = pq.read_table(folder / WEIGHTS, columns=["weight"])["weight"].to_numpy()
    return Chosen(None if (weights == weights[0]).all() else weights, summary["kept"])


def _digest(index: Index) -> str:
    """Of the train shards alone: other splits, or a rule that changes none of their bytes, make no other selection."""
    return hashlib.sha256("".join(entry.sha256 for entry in index.splits.get("train", [])).encode()).hexdigest()
