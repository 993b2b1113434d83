"""A trained checkpoint and its evaluation -> a version in MLflow's registry under an alias, if it hears better.

`python -m asr.experiments.promotion data/run.json data/report NAME ALIAS` compares it with the version that has the
alias, on the same test set, and says in a line what it did; the exit status is 1 if it registered nothing.
"""

import argparse
import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from asr import params
from asr.errors import UserError
from asr.evaluate.predictions import PREDICTIONS, Prediction
from asr.evaluate.scoring import metrics
from asr.experiments.address import tracking_uri
from asr.experiments.journal import Record
from asr.experiments.store import PACKAGED, Store

EVALUATION = "evaluation_run"  # the tag of a version that names the run with its predictions


@dataclass(frozen=True)
class Evaluation:
    """A run that evaluated a checkpoint: the digest of its test set, and its predictions as rows."""

    run_id: str
    digest: str
    predictions: list[Record]


@dataclass(frozen=True)
class Verdict:
    """Whether a checkpoint was registered, and the line that says why."""

    is_promoted: bool
    reason: str


@dataclass(frozen=True)
class Place:
    """A registered model's name, and the alias that its best version has."""

    name: str
    alias: str


def promote(
    store: Store,
    run: Record,
    report: Path,
    place: Place,
    choices: params.Evaluate,
    checkpoint: Path | None = None,
) -> Verdict:
    """Register the checkpoint of `run`, a `Run.to_json()`, as a version at `place` that has its alias, if it is better.

    `checkpoint` is where it lies here: it goes to MLflow as a model that can be served, if the run has not sent it so.

    Better is: the 95 % interval of its word error rate minus the former's, paired over the utterances of a test set of
    the same digest, lies below 0. Where no version has the alias, there is nothing to beat. Raises `UserError` where
    MLflow lacks the run, or the evaluation whose predictions lie in `report`.
    """
    run_id = store.find_run(run)
    if run_id is None:
        raise UserError(
            f"{store.address} has no run {run['run_id'] or run['journal']}: run `python -m asr.tracking replay`"
        )
    evaluation = _latest_evaluation(store, run_id, report)
    former = _version_of(store, place)
    if former is None:
        version = _register(store, run_id, evaluation, place, checkpoint)
        return Verdict(True, f"{place.name} version {version} is {place.alias}, the first one")
    what = f"{place.name} version {former.version}, {place.alias},"
    if former.tags.get(EVALUATION) == evaluation.run_id:
        return Verdict(False, f"{what} is this checkpoint already")
    if EVALUATION not in former.tags:
        return Verdict(False, f"{what} names no evaluation to compare with; take the alias from it to begin anew")
    earlier = _evaluation(store, former.tags[EVALUATION], report.name)
    if earlier.digest != evaluation.digest:
        return Verdict(
            False, f"{what} was measured on test set {earlier.digest}, this checkpoint on {evaluation.digest}"
        )
    is_better, comparison = _compare(evaluation, earlier, choices)
    if not is_better:
        return Verdict(False, f"{what} stays: {comparison}, so it may be chance")
    version = _register(store, run_id, evaluation, place, checkpoint)
    return Verdict(True, f"{place.name} version {version} is {place.alias} instead of {former.version}: {comparison}")


def _compare(after: Evaluation, before: Evaluation, choices: params.Evaluate) -> tuple[bool, str]:
    """Whether the word error rate is significantly lower, and how in words."""
    earlier = {row["id"]: row for row in before.predictions}
    if earlier.keys() != {row["id"] for row in after.predictions}:
        raise UserError(
            f"the predictions of run {before.run_id} are of other utterances, although the digest is the same"
        )
    rows = [
        Prediction(
            id=row["id"],
            language=row["language"],
            speaker=row.get("speaker"),
            reference=row["reference"],
            hypothesis=row["hypothesis"],
            hypothesis_30s=row["hypothesis"],
            baseline=earlier[row["id"]]["hypothesis"],
        )
        for row in after.predictions
    ]
    scores = metrics(rows, choices.bootstrap_samples, choices.seed)
    low, high = scores["difference_interval"]
    words = f"WER {scores['wer']:.1%} after {scores['baseline']['wer']:.1%}"
    return high < 0, f"{words}, 95 % interval of the difference {100 * low:+.1f} to {100 * high:+.1f} points"


def _latest_evaluation(store: Store, run_id: str, report: Path) -> Evaluation:
    """The evaluation of a run that finished last, whose predictions must be those in `report`."""
    experiment_id = store.client.get_run(run_id).info.experiment_id
    chosen = f"tags.`mlflow.parentRunId` = '{run_id}' and attributes.status = 'FINISHED'"
    found = store.client.search_runs([experiment_id], chosen, order_by=["attributes.start_time DESC"], max_results=1)
    remedy = "run `dvc repro -f evaluate`, or `python -m asr.tracking replay` if the server was away"
    if not found:
        raise UserError(f"{store.address} has no finished evaluation of run {run_id}: {remedy}")
    evaluation = _evaluation(store, found[0].info.run_id, report.name)
    if not (report / PREDICTIONS).exists():
        raise UserError(f"{report / PREDICTIONS}: no such file; run `dvc repro` or `dvc pull`")
    if pq.read_table(report / PREDICTIONS).to_pylist() != evaluation.predictions:
        raise UserError(
            f"{report / PREDICTIONS} is not of evaluation {evaluation.run_id}, the last of its run: {remedy}"
        )
    return evaluation


def _evaluation(store: Store, run_id: str, folder: str) -> Evaluation:
    inputs = store.client.get_run(run_id).inputs.dataset_inputs
    digests = [
        entry.dataset.digest
        for entry in inputs
        for tag in entry.tags
        if (tag.key, tag.value) == ("mlflow.data.context", "evaluation")
    ]
    if not digests:
        raise UserError(f"run {run_id} has no dataset that it evaluated: run `dvc repro -f evaluate`")
    with tempfile.TemporaryDirectory() as place:
        path = store.client.download_artifacts(run_id, f"{folder}/{PREDICTIONS}", place)
        return Evaluation(run_id, digests[0], pq.read_table(path).to_pylist())


def _version_of(store: Store, place: Place) -> Any | None:
    """The version of a registered model that has the alias."""
    for model in store.client.search_registered_models(f"name = '{place.name}'"):
        if place.alias in model.aliases:
            return store.client.get_model_version(place.name, model.aliases[place.alias])
    return None


def _register(store: Store, run_id: str, evaluation: Evaluation, place: Place, checkpoint: Path | None) -> str:
    """Make a version of the checkpoint that the run logged, and give it the alias; its number."""
    if not store.client.search_registered_models(f"name = '{place.name}'"):
        store.client.create_registered_model(place.name)
    model_id = store.model_of(run_id)
    if model_id and _is_packaged(store, model_id, checkpoint):
        source = f"models:/{model_id}"
    else:
        source = f"{store.client.get_run(run_id).info.artifact_uri}/model"
        if source.startswith("mlflow-artifacts:"):  # a server wants what it keeps for a model to be the model's own
            model_id = None
    tags = {EVALUATION: evaluation.run_id, "test_digest": evaluation.digest}
    made = store.client.create_model_version(place.name, source, run_id, tags, model_id=model_id)
    store.client.set_registered_model_alias(place.name, place.alias, made.version)
    return made.version


def _is_packaged(store: Store, model_id: str, checkpoint: Path | None) -> bool:
    """Whether the run's model has files that can be served; if it has none, `checkpoint` becomes these."""
    if store.client.get_logged_model(model_id).tags.get(PACKAGED) == "true":
        return True
    if checkpoint is None:
        return False
    from asr.experiments.packaging import package  # with transformers

    with tempfile.TemporaryDirectory() as folder:
        package(checkpoint, Path(folder) / "model")
        store.client.log_model_artifacts(model_id, str(Path(folder) / "model"))
    store.client.set_logged_model_tags(model_id, {PACKAGED: "true"})
    return True


def _read_run(path: Path) -> Record:
    try:
        return json.loads(path.read_text(encoding="utf-8"))["run"]
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run `dvc repro` or `dvc pull`") from None


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m asr.experiments.promotion", description="Register a checkpoint that is better"
    )
    parser.add_argument("run", type=Path, help="the training's run.json")
    parser.add_argument("report", type=Path, help="the folder of its report")
    parser.add_argument("name", help="of the model in MLflow's registry")
    parser.add_argument("alias", help="that the best version has, such as champion")
    parser.add_argument("--checkpoint", type=Path, help="where it lies, to be served from MLflow")
    arguments = parser.parse_args()
    store = Store(tracking_uri())
    try:
        run = _read_run(arguments.run)
        place, choices = Place(arguments.name, arguments.alias), params.load().evaluate
        verdict = promote(store, run, arguments.report, place, choices, arguments.checkpoint)
    except UserError as error:
        sys.exit(f"error: {error}")
    except Exception as error:  # of MLflow or its server
        sys.exit(f"{store.unreachable(error)}; nothing was promoted")
    print(verdict.reason)
    sys.exit(0 if verdict.is_promoted else 1)


if __name__ == "__main__":
    main()
