"""The name of an experiment, a git revision or a report's folder -> its params, scores, predictions and curves."""

import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from ruamel.yaml import YAML

from asr.errors import UserError
from asr.evaluate.predictions import PREDICTIONS, Prediction

REPORT, RUN, PARAMS, METRICS = "data/report", "data/run.json", "params.yaml", "metrics.json"
WORKSPACE = "workspace"  # DVC's word for what lies here

Read = Callable[[str], bytes]  # the content of a file of the project, by its path


@dataclass(frozen=True)
class Experiment:
    """`params` by dotted names; `metrics` as metrics.json; `curve` as run.json has it, empty where that is missing."""

    name: str
    params: Mapping[str, Any]
    metrics: Mapping[str, Any]
    predictions: Sequence[Prediction]
    curve: Sequence[Mapping[str, float]]


def find(name: str) -> Experiment:
    """The experiment of a name, of a git revision, of `workspace`, or of a report's folder as the evaluation leaves it.

    A folder's params and curve are those of the project that it lies in. Raises `UserError` for a name that means
    none of them, and where the outputs of a revision are not in the cache.
    """
    if (Path(name) / METRICS).is_file():
        folder = Path(name).resolve()
        project = folder.parent.parent
        label = project.name if folder.is_relative_to(project / REPORT) else folder.name
        return _load(label, lambda path: _of_folder(folder, path).read_bytes())
    from dvc.api import DVCFileSystem  # takes a second
    from dvc.scm import RevError

    try:
        return _load(name, DVCFileSystem(rev=None if name == WORKSPACE else name).read_bytes)
    except RevError:
        raise UserError(
            f"{name}: no git revision, no experiment and no folder with {METRICS}; `dvc exp list` names the experiments"
        ) from None
    except Exception as error:  # DVC's own have no class in common, and tell of the cache in many ways
        raise UserError(
            f"{name}: its {REPORT} cannot be read ({error}); run `dvc repro` there, or fetch it with `dvc pull`"
        ) from error


def flat(params: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested params by dotted names."""
    found: dict[str, Any] = {}
    for key, value in params.items():
        inner = flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) and value else {f"{prefix}{key}": value}
        found |= inner
    return found


def _of_folder(report: Path, path: str) -> Path:
    """Where a file of the project is that a report lies in, at data/report."""
    inside = Path(path)
    return report / inside.name if inside.is_relative_to(REPORT) else report.parent.parent / inside


def _load(name: str, read: Read) -> Experiment:
    table = pq.read_table(io.BytesIO(read(f"{REPORT}/{PREDICTIONS}")))
    known = set(Prediction.__dataclass_fields__)
    rows = [{key: value for key, value in row.items() if key in known} for row in table.to_pylist()]
    params = YAML(typ="safe", pure=True).load(_optional(read, PARAMS) or b"") or {}
    return Experiment(
        name,
        params=flat(params),
        metrics=json.loads(read(f"{REPORT}/{METRICS}")),
        predictions=[Prediction(**{"speaker": None} | row) for row in rows],
        curve=json.loads(_optional(read, RUN) or b"{}").get("curve", []),
    )


def _optional(read: Read, path: str) -> bytes | None:
    try:
        return read(path)
    except FileNotFoundError:
        return None
