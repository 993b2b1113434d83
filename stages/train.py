"""base, features -> data/model: a fine-tuned checkpoint with its processor; data/run.json: its run and curves."""

import json
from dataclasses import asdict
from pathlib import Path

from asr import params
from asr.provenance import dvc_digest
from asr.run import Run
from asr.shards import read_index
from asr.training import train
from stages import stage


def main(base: Path, features: Path, model: Path, run_file: Path) -> None:
    choices = params.load()
    index = read_index(features)
    curve: list[dict[str, float]] = []
    with Run("train") as run:

        def log(metrics: dict[str, float], step: int) -> None:
            curve.append({"step": step, **metrics})
            run.log_metrics(metrics, step)

        run.log_params(choices.model_dump())
        run.log_dataset("features", dvc_digest(features) or index.fingerprint, index.rows("train"), "training")
        summary = asdict(train(base, features, model, choices, log))
        run.log_params({f"training.{name}": value for name, value in summary.items()})
        run.log_artifact("params.yaml")
        run.log_artifact(model)
    run_file.write_text(json.dumps({"run": run.to_json(), "training": summary, "curve": curve}, indent=1) + "\n")


if __name__ == "__main__":
    stage(main)
