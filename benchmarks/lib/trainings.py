"""A folder of clips and settings -> the same training the notebook's way or ours, each a process: its costs, a model.

Both take the folder that `prepared` makes, and leave `model` in the folder of their own.
"""

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias

from asr import params
from asr.corpora import manifest
from asr.models.base import fetch
from asr.selection import files
from asr.selection.filters import COLUMNS
from asr.selection.selection import Rules, rows_of, select
from asr.shards import read_columns, read_index
from asr.utterances import Utterance
from lib.corpora import PREPROCESS, job_folder
from lib.processes import Usage, measured

WAYS = Path(__file__).parent.parent.resolve() / "ways"
MS = 1e-3
SELECTION = "selection"  # in the folder that `prepared` makes: all rows
OUTPUTS = ("model", "run.json", "training")  # of the train stage, as in dvc.yaml


@dataclass(frozen=True)
class Training:
    """What both ways are told. `window_s` is ours alone, `gradient_checkpointing` the notebook's."""

    max_steps: int
    batch_size: int
    seed: int
    precision: str
    window_s: int = 30
    gradient_checkpointing: bool = False
    accumulation: int = 1
    learning_rate: float = 1e-5  # the notebook's
    warmup_steps: int = 0


@dataclass(frozen=True)
class Trained:
    """What a training took: a process' costs, the seconds between the ends of its steps, and their losses."""

    usage: Usage
    steps_s: list[float]
    losses: list[float]
    n_epochs: float


Way: TypeAlias = Callable[[Path, Path, Training], Trained]  # of (what `prepared` made, a new folder, settings)


def prepared(folder: Path, clips: Sequence[Utterance], checkpoint: str) -> Path:
    """`folder` with `base`, `features`, and `trained`: the manifest of exactly the train rows that are in the features.

    Made once; a folder that was made of the same is taken as it is.
    """
    key = hashlib.sha256(repr((checkpoint, clips)).encode()).hexdigest()
    made_of = folder / "made-of"
    if not made_of.exists() or made_of.read_text() != key:
        shutil.rmtree(folder, ignore_errors=True)
        base = folder.with_name(f"{folder.name}-base")
        fetch(params.Model(checkpoint=checkpoint), base)
        job_folder(folder, clips, base)
        measured([sys.executable, *PREPROCESS], folder)
        made_of.write_text(key)
    rows = rows_of(read_columns(folder / "features", "train", list(COLUMNS)).to_pydict())
    chosen = select(rows, Rules())
    files.write(folder / SELECTION, chosen.ids, chosen.weights, chosen.set_aside, read_index(folder / "features"))
    ids = {*chosen.ids}
    manifest.write([row for row in manifest.read(folder / "manifest") if row.id in ids], folder / "trained")
    return folder


def train_as_notebook(job: Path, out: Path, training: Training) -> Trained:
    _empty(out)
    (out / "settings.json").write_text(json.dumps(asdict(training)))
    usage = _run(WAYS / "notebook_training.py", job / "trained", job / "base", "settings.json", ".", folder=out)
    shutil.rmtree(out / "cache")
    steps = json.loads((out / "steps.json").read_text())
    losses = [entry["loss"] for entry in steps["log"] if "loss" in entry]
    return Trained(usage, _differences(steps["ended_s"]), losses, steps["log"][-1]["epoch"])


def train_as_ours(job: Path, out: Path, training: Training) -> Trained:
    """By the stage that `dvc repro` runs; the journal of its run says when each step ended."""
    _empty(out)
    train = {
        "max_steps": training.max_steps,
        "batch_size": training.batch_size,
        "gradient_accumulation_steps": training.accumulation,
        "learning_rate": training.learning_rate,
        "warmup_steps": training.warmup_steps,
        "precision": training.precision,
        "seed": training.seed,
    }
    (out / "params.yaml").write_text(json.dumps({"model": {"window_s": training.window_s}, "train": train}))
    usage = _run("-m", "stages.train", *(job / name for name in ("base", "features", SELECTION)), *OUTPUTS, folder=out)
    run = json.loads((out / "run.json").read_text())
    (journal,) = (out / "data/journal").glob("*.jsonl")
    records = [json.loads(line) for line in journal.read_text().splitlines()]
    points = [record for record in records if "train_loss" in record.get("metrics", {})]
    return Trained(
        usage,
        _differences([MS * point["time_ms"] for point in points]),
        [point["metrics"]["train_loss"] for point in points],
        run["training"]["epochs"],
    )


def decoded(job: Path, model: Path, window_s: int, precision: str, out: Path) -> tuple[Usage, dict[str, str]]:
    """What a model hears in the test clips, by their ids."""
    usage = _run(WAYS / "decode.py", model, job / "features", str(window_s), precision, out, folder=out.parent)
    return usage, json.loads(out.read_text(encoding="utf-8"))


def _run(*command: str | Path, folder: Path) -> Usage:
    """Python with this command, on as many threads as this process may use cores; MLflow's database is in `folder`."""
    environment = {"OMP_NUM_THREADS": str(len(os.sched_getaffinity(0))), "MLFLOW_TRACKING_URI": ""}
    return measured([sys.executable, *command], folder, environment=environment)


def _empty(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def _differences(ended_s: Sequence[float]) -> list[float]:
    return [after - before for before, after in pairwise(ended_s)]
