"""A small project under git and DVC, with what the evaluation leaves, for tests of experiments."""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from asr.evaluate import scoring
from asr.evaluate.predictions import Prediction, write_predictions
from asr.pages import series

ROOT = Path(__file__).parent.parent
REFERENCES = [f"the quick fox number {n} jumps over the lazy dog" for n in range(40)]
_WHO = ("-c", "user.name=Nobody", "-c", "user.email=nobody@example.com")


def prediction(name: str, reference: str, hypothesis: str, baseline: str = "", **columns: Any) -> Prediction:
    fields = {"language": "en", "speaker": None, "duration_s": 2.5} | columns
    return Prediction(
        id=name, reference=reference, hypothesis=hypothesis, hypothesis_30s=hypothesis, baseline=baseline, **fields
    )


def heard(n_wrong: int) -> list[Prediction]:
    """The references; of the first `n_wrong`, two words are other ones."""
    return [
        prediction(f"row-{n:02d}", text, text.replace("quick fox", "thick box") if n < n_wrong else text)
        for n, text in enumerate(REFERENCES)
    ]


def evaluate(project: Path, n_wrong: int, params: Mapping[str, Any]) -> None:
    """Write params.yaml, run.json and the report of an experiment, less its page."""
    report = project / "data/report"
    predictions = heard(n_wrong)
    curve = [{"step": step, "train_loss": (2.0 + n_wrong) / step, "learning_rate": 1e-5} for step in (1, 2, 3)]
    curve += [{"step": 3, "validation_loss": 0.5 + n_wrong, "validation_wer": n_wrong / 40}]
    write_predictions(predictions, report)
    series.write(report, curve)
    scores = scoring.metrics(predictions, 100, seed=1)
    (report / "metrics.json").write_text(json.dumps(scores))
    (project / "data/run.json").write_text(json.dumps({"curve": curve}))
    YAML().dump(params, project / "params.yaml")


def project_of_two(folder: Path) -> Path:
    """A repository whose branch `better` has fewer words wrong than `main`, which is checked out."""
    shutil.copytree(ROOT / ".dvc", folder / ".dvc", ignore=shutil.ignore_patterns("cache", "tmp", "config.local"))
    plots = YAML(typ="safe").load(ROOT / "dvc.yaml")["plots"]
    YAML().dump({"plots": plots, "metrics": ["data/report/metrics.json"]}, folder / "dvc.yaml")
    git(folder, "init", "-q", "-b", "main")
    evaluate(folder, 20, {"train": {"learning_rate": 1e-5, "max_steps": 3}})
    _commit(folder)
    git(folder, "checkout", "-q", "-b", "better")
    evaluate(folder, 4, {"train": {"learning_rate": 1e-4, "max_steps": 3}})
    _commit(folder)
    git(folder, "checkout", "-q", "main")
    return folder


def git(folder: Path, *words: str) -> None:
    subprocess.run(["git", *_WHO, *words], cwd=folder, check=True, capture_output=True)


def dvc(folder: Path, *words: str) -> str:
    """What a command of DVC prints."""
    command = [sys.executable, "-m", "dvc", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _commit(folder: Path) -> None:
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "Experiment")
