"""model, baseline, features -> data/report: metrics.json, predictions.parquet, report.html; and the same in MLflow."""

import json
from pathlib import Path

from asr import params, report
from asr.decode import transcribe
from asr.leaks import find_leak
from asr.predictions import columns, join, read_hypotheses, write_predictions
from asr.progress import say
from asr.provenance import dvc_digest, git_commit
from asr.rejects import count_reasons, read_rejects
from asr.run import Run
from asr.scoring import flat, metrics, outline
from asr.shards import hours, read_index
from asr.whisper import MAX_WINDOW_S, trained_window_s
from stages import stage


def main(model: Path, baseline: Path, features: Path, run_file: Path, folder: Path) -> None:
    choices = params.load()
    trained = json.loads(run_file.read_text(encoding="utf-8"))
    index = read_index(features)
    with Run("evaluate", parent=trained["run"]) as run:
        run.log_params({"evaluate": choices.evaluate.model_dump()})
        digest = dvc_digest(features / "test") or index.fingerprint
        run.log_dataset("test", digest, index.rows("test"), "evaluation")

        precision, window_s = choices.evaluate.precision, trained_window_s(model)
        heard = transcribe(model, features, "test", window_s, precision, f"tuned at {window_s or 'own'} s")
        at_30s = heard
        if window_s != MAX_WINDOW_S:
            at_30s = transcribe(model, features, "test", MAX_WINDOW_S, precision, "tuned at 30 s")
        systems = {
            "hypothesis": heard.hypotheses,
            "hypothesis_30s": at_30s.hypotheses,
            "baseline": read_hypotheses(baseline),
        }

        predictions = join(features, "test", systems)
        write_predictions(predictions, folder)
        run.log_table("predictions", columns(predictions))
        leak = find_leak(features, predictions)
        scores = metrics(predictions, choices.evaluate.bootstrap_samples, choices.evaluate.seed, leak=leak)
        (folder / "metrics.json").write_text(json.dumps(scores, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        context = report.Context(
            params=choices.model_dump(),
            git_commit=git_commit(),
            run_id=trained["run"]["run_id"],
            rejects=count_reasons(read_rejects(features)),
            corpus={name: {"n_utterances": index.rows(name), "hours": hours(features, name)} for name in index.splits},
            curve=trained["curve"],
            chosen_steps=trained["training"]["chosen_steps"],
        )
        report.write(folder, scores, predictions, context)

        run.log_headline(flat(scores))
        run.log_artifact(folder)
    say(outline(scores))
    say(f"report: {folder / report.PAGE}")


if __name__ == "__main__":
    stage(main)
