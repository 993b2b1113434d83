"""base, features, selection -> data/model: a checkpoint with its processor; data/run.json: its run and curves."""

import json
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path

from asr import params
from asr.environment import count, seconds
from asr.experiments import shown
from asr.experiments.provenance import dvc_digest
from asr.experiments.run import Run
from asr.selection import files
from asr.shards import read_index
from asr.train import launch
from asr.train.attempt import Attempt
from asr.train.training import SAVE_EVERY_S, train
from stages import stage


def main(base: Path, features: Path, selection: Path, model: Path, run_file: Path, attempts: Path) -> None:
    if (status := launch.relaunched()) is not None:
        if status:
            sys.exit(status)
        return
    choices = params.load()
    index = read_index(features)
    chosen = files.read(selection, index)
    attempt = Attempt.of(attempts, base, features, selection, choices)
    trained = partial(
        train,
        base,
        features,
        model,
        choices,
        weights=chosen.weights,
        attempt=attempt,
        save_every_s=seconds("CHECKPOINT_EVERY_S", SAVE_EVERY_S),
        loader_workers=count("LOADER_WORKERS"),
    )
    if not launch.is_first_process():
        trained(log=lambda metrics, step: None)
        return
    with Run("train", continues=attempt.run) as run:
        attempt.note_run(run.to_json())
        run.log_params(shown.params(choices.model_dump()))
        run.log_dataset("features", dvc_digest(features) or index.fingerprint, chosen.n_rows, "training")
        summary = trained(log=run.log_metrics)
        run.set_tags({f"warning: {kind}": line for kind, line in summary.warnings.items()})
        run.log_artifact("params.yaml")
        run.log_model(model)
    outcome = {"run": run.to_json(), "training": asdict(summary), "curve": run.curve()}
    run_file.write_text(json.dumps(outcome, indent=1) + "\n")
    attempt.remove()


if __name__ == "__main__":
    stage(main)
