"""model, baselines, features -> data/report: metrics.json, predictions.parquet, report.html; and the same in MLflow."""

import json
from pathlib import Path
from typing import Any

from asr import params
from asr.corpora.rejects import count_reasons, read_rejects
from asr.evaluate.hearing import hear
from asr.evaluate.leaks import find_leak
from asr.evaluate.outline import forgotten, outline
from asr.evaluate.predictions import columns, write_predictions
from asr.evaluate.scoring import flat, metrics
from asr.experiments.provenance import dvc_digest, git_commit
from asr.experiments.run import Run
from asr.pages import report, series
from asr.progress import say
from asr.selection import files
from asr.shards import hours, read_index
from stages import stage


def main(
    model: Path,
    baseline: Path,
    manifest: Path,
    features: Path,
    selection: Path,
    sets: Path,
    baseline_sets: Path,
    run_file: Path,
    folder: Path,
) -> None:
    choices = params.load()
    chosen = choices.evaluate
    trained = json.loads(run_file.read_text(encoding="utf-8"))
    with Run("evaluate", parent=trained["run"]) as run:
        run.log_params({"evaluate": chosen.model_dump()})
        index = read_index(features)
        run.log_dataset("test", dvc_digest(features / "test") or index.fingerprint, index.rows("test"), "evaluation")

        heard = hear(model, baseline, features, chosen, "tuned")
        write_predictions(heard.predictions, folder)
        run.log_table("predictions", columns(heard.predictions))
        leak = find_leak(features, heard.predictions, files.read(selection, index).weights)
        scores = heard.told_in(metrics(heard.predictions, chosen.bootstrap_samples, chosen.seed, leak=leak))
        for name in chosen.sets:
            other = hear(model, baseline_sets / name, sets / name, chosen, f"{name}: tuned")
            write_predictions(other.predictions, folder / "sets" / name)
            of_set = metrics(other.predictions, chosen.bootstrap_samples, chosen.seed, sliced=False)
            scores.setdefault("sets", {})[name] = other.told_in(of_set)
        (folder / "metrics.json").write_text(json.dumps(scores, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        series.write(folder, trained["curve"])
        report.write(
            folder, scores, heard.predictions, _context(choices, features, selection, model, trained), manifest
        )

        run.log_headline(flat(scores))
        run.log_artifact(folder)
    say(outline(scores))
    for line in forgotten(scores):
        say(f"warning: {line}")
    say(f"report: {folder / report.PAGE}")


def _context(
    choices: params.Params, features: Path, selection: Path, model: Path, trained: dict[str, Any]
) -> report.Context:
    index = read_index(features)
    return report.Context(
        params=choices.model_dump(),
        git_commit=git_commit(),
        run_id=trained["run"]["run_id"],
        rejects=count_reasons(read_rejects(features)),
        set_aside=count_reasons(read_rejects(selection, files.SET_ASIDE)),
        corpus={name: {"n_utterances": index.rows(name), "hours": hours(features, name)} for name in index.splits},
        curve=trained["curve"],
        chosen_steps=trained["training"]["chosen_steps"],
        digests={
            "features": dvc_digest(features),
            "test split": dvc_digest(features / "test"),
            "checkpoint": dvc_digest(model),
        },
    )


if __name__ == "__main__":
    stage(main)
