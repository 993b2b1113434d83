"""Runs in one store of MLflow, for tests: what they log, what became of them, and how to kill them."""

import json
from pathlib import Path
from typing import Any

from asr.experiments.run import EXPERIMENT, Run

DEAD = "http://user:secret@127.0.0.1:9"


def run_of(client: Any, journal: str) -> Any:
    """The one run that a journal became."""
    experiment = client.get_experiment_by_name(EXPERIMENT)
    runs = client.search_runs([experiment.experiment_id], f"tags.journal = '{journal}'")
    assert len(runs) == 1
    return runs[0]


def lines(folder: Path) -> list[dict[str, Any]]:
    (path,) = folder.glob("*.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def log_everything(folder: Path, parent: dict[str, Any] | None = None) -> dict[str, Any]:
    (folder / "report.html").write_text("<p>report</p>")
    (folder / "model").mkdir()
    (folder / "model" / "config.json").write_text("{}")
    with Run("train", parent, journal=folder / "journal") as run:
        run.log_params({"train": {"learning_rate": 1e-5, "max_steps": 150}})
        for step in range(3):
            run.log_metrics({"loss": 3.0 - step}, step)
        run.log_dataset("corpus", "d" * 64, n_rows=12)
        run.log_artifact(folder / "report.html")
        run.log_artifact(folder / "model", "checkpoint")
        run.log_headline({"wer": 0.25})
    return run.to_json()


def check_everything(client: Any, journal: str) -> Any:
    run = run_of(client, journal)
    assert run.info.status == "FINISHED"
    assert run.data.params == {"train.learning_rate": "1e-05", "train.max_steps": "150"}
    assert [(metric.step, metric.value) for metric in client.get_metric_history(run.info.run_id, "loss")] == [
        (0, 3.0),
        (1, 2.0),
        (2, 1.0),
    ]
    assert run.data.metrics["wer"] == 0.25
    (dataset,) = run.inputs.dataset_inputs
    assert dataset.dataset.digest == "d" * 36
    assert [file.path for file in client.list_artifacts(run.info.run_id)] == ["checkpoint", "report.html"]
    assert [file.path for file in client.list_artifacts(run.info.run_id, "checkpoint/model")] == [
        "checkpoint/model/config.json"
    ]
    return run


def kill(run: Run) -> None:
    """End a run as the system ends the process: what was logged has been sent, and its journal has no end."""
    run._sender.stop()
    run._journal.close()
