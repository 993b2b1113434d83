"""asr/experiments/run.py: all that a stage logs is in MLflow, under the run whose child it is."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from asr.errors import UserError
from asr.experiments.replay import replay
from asr.experiments.run import EXPERIMENT, Run
from tests.logged import check_everything, log_everything, run_of


def test_a_run_arrives_whole_and_keeps_no_artifact_twice(client: Any, tmp_path: Path) -> None:
    run_json = log_everything(tmp_path)
    assert check_everything(client, run_json["journal"]).info.run_id == run_json["run_id"]
    assert not list(tmp_path.glob("journal/*.files"))
    assert replay(tmp_path / "journal") == 0


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ValueError("bad"), "FAILED"),
        (SystemExit(3), "FAILED"),
        (SystemExit(0), "FINISHED"),
        (KeyboardInterrupt(), "KILLED"),
    ],
)
def test_how_a_run_is_left_is_its_status(client: Any, tmp_path: Path, error: BaseException, status: str) -> None:
    with pytest.raises(type(error)), Run("train", journal=tmp_path) as run:
        raise error
    left = run_of(client, run.to_json()["journal"])
    assert left.info.status == status
    assert ("error" in left.data.tags) == (status == "FAILED")


def test_sigterm_kills_the_run_and_the_handler_goes_with_it(client: Any, tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as left, Run("train", journal=tmp_path) as run:
        os.kill(os.getpid(), signal.SIGTERM)
    assert left.value.code == 143
    assert run_of(client, run.to_json()["journal"]).info.status == "KILLED"
    assert signal.getsignal(signal.SIGTERM) == before


def test_an_evaluation_is_a_child_and_copies_its_headline_to_the_parent(client: Any, tmp_path: Path) -> None:
    with Run("train", journal=tmp_path) as train:
        pass
    with Run("evaluate", parent=train.to_json(), journal=tmp_path) as evaluate:
        evaluate.log_headline({"wer": 0.2})
        evaluate.log_metrics({"wer_es": 0.1})
    parent, child = (run_of(client, run.to_json()["journal"]) for run in (train, evaluate))
    assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert parent.data.metrics == {"wer": 0.2}
    assert child.data.metrics == {"wer": 0.2, "wer_es": 0.1}


def test_both_runs_are_described_by_their_scores_unless_a_person_described_them(client: Any, tmp_path: Path) -> None:
    with Run("train", journal=tmp_path) as train:
        pass
    notes, rates = [], [(0.3, 0.8), (0.2, 0.8), (0.1, 0.8)]
    for number, (after, before) in enumerate(rates):
        with Run("evaluate", parent=train.to_json(), journal=tmp_path) as evaluate:
            evaluate.log_headline({"wer": after, "baseline.wer": before, "language.es.deletions": 3})
        parent, child = (run_of(client, run.to_json()["journal"]) for run in (train, evaluate))
        notes.append(parent.data.tags["mlflow.note.content"])
        assert child.data.tags["mlflow.note.content"].startswith(f"**WER 80.0 → {100 * after:.1f} %**")
        assert "language.es.deletions" not in {**parent.data.metrics, **child.data.metrics}
        if number == 1:
            client.set_tag(parent.info.run_id, "mlflow.note.content", "the best so far")
    assert [note.split("\n")[0] for note in notes] == [
        "**WER 80.0 → 30.0 %**",
        "**WER 80.0 → 20.0 %**",
        "the best so far",
    ]


def test_a_run_of_dvc_exp_run_bears_the_name_of_the_experiment(
    client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_EXP_NAME", "fast")
    with Run("train", journal=tmp_path) as run:
        pass
    assert run_of(client, run.to_json()["journal"]).info.run_name == "train fast"


def test_a_run_stands_in_for_a_deleted_or_unknown_parent_once(client: Any, tmp_path: Path) -> None:
    with Run("train", journal=tmp_path) as train:
        pass
    deleted = train.to_json()
    client.delete_run(deleted["run_id"])
    unknown = deleted | {"run_id": "0" * 32, "journal": "from another machine"}
    for parent in (deleted, unknown):
        parents = []
        for _ in range(2):
            with Run("evaluate", parent=parent, journal=tmp_path) as evaluate:
                evaluate.log_headline({"wer": 0.2})
            child = client.get_run(evaluate.to_json()["run_id"])
            parents.append(client.get_run(child.data.tags["mlflow.parentRunId"]))
        assert parents[0].info.run_id == parents[1].info.run_id
        assert parents[0].data.tags["stands_in_for"] == parent["run_id"]
        assert parents[0].data.metrics == {"wer": 0.2}


def test_more_than_a_batch_arrives(client: Any, tmp_path: Path) -> None:
    with Run("train", journal=tmp_path) as run:
        run.log_params({f"param {number}": number for number in range(150)})
        for step in range(1200):
            run.log_metrics({"loss": 1.0}, step)
    found = run_of(client, run.to_json()["journal"])
    assert len(found.data.params) == 150
    assert len(client.get_metric_history(found.info.run_id, "loss")) == 1200


@pytest.mark.usefixtures("client")
def test_a_missing_artifact_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"), Run("train", journal=tmp_path) as run:
        run.log_artifact(tmp_path / "nothing.html")


def test_a_table_is_one_that_mlflow_shows(client: Any, tmp_path: Path) -> None:
    with Run("evaluate", journal=tmp_path) as run:
        run.log_table("predictions", {"id": ["a", "b"], "heard": ["¿qué?", ""]})
    table = client.load_table(client.get_experiment_by_name(EXPERIMENT).experiment_id, "predictions.json")
    assert table.to_dict("list") == {"id": ["a", "b"], "heard": ["¿qué?", ""]}
    assert run_of(client, run.to_json()["journal"]).info.status == "FINISHED"
    with pytest.raises(ValueError, match="argument 2 is shorter"), Run("evaluate", journal=tmp_path) as run:
        run.log_table("predictions", {"id": ["a", "b"], "heard": [""]})


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    return folder


def test_an_evaluations_scores_belong_to_the_model_that_its_parent_made(
    client: Any, tmp_path: Path, checkpoint: Path
) -> None:
    with Run("train", journal=tmp_path) as train:
        train.log_model(checkpoint)
    with Run("evaluate", parent=train.to_json(), journal=tmp_path) as evaluate:
        evaluate.log_dataset("test", "d" * 64, n_rows=12, context="evaluation")
        evaluate.log_headline({"wer": 0.2, "language.es.wer": 0.1})
    parent, child = (run_of(client, run.to_json()["journal"]) for run in (train, evaluate))
    (output,) = parent.outputs.model_outputs
    model = client.get_logged_model(output.model_id)
    assert (model.name, model.source_run_id, model.status) == ("model", parent.info.run_id, "READY")
    found = {(each.key, each.value, each.run_id, each.dataset_name, each.dataset_digest) for each in model.metrics}
    shared = (child.info.run_id, "test", "d" * 36)
    assert found == {("wer", 0.2, *shared), ("language.es.wer", 0.1, *shared)}
    assert parent.data.metrics == child.data.metrics == {"wer": 0.2, "language.es.wer": 0.1}
    assert [file.path for file in client.list_artifacts(parent.info.run_id, "model")] == ["model/config.json"]


def test_a_model_is_made_once_however_often_it_is_sent(client: Any, tmp_path: Path, checkpoint: Path) -> None:
    with Run("train", journal=tmp_path) as run:
        run.log_model(checkpoint)
    (note,) = tmp_path.glob("*.sent")
    sent = json.loads(note.read_text())
    note.write_text(json.dumps({**sent, "n_records": sent["n_records"] - 2}))  # as if killed before it was noted
    assert replay(tmp_path) == 2
    assert len(run_of(client, run.to_json()["journal"]).outputs.model_outputs) == 1


def test_the_environment_can_ask_for_a_model_that_mlflow_loads(
    client: Any, tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import numpy as np
    from mlflow import transformers

    monkeypatch.setenv("LOG_MODEL", "1")
    with Run("train", journal=tmp_path) as run:
        run.log_model(scratch)
    (output,) = run_of(client, run.to_json()["journal"]).outputs.model_outputs
    assert client.get_logged_model(output.model_id).tags["packaged"] == "true"
    loaded = transformers.load_model(f"models:/{output.model_id}")
    assert loaded.model.config.d_model == 64
    assert loaded.model.generation_config.task == "transcribe"
    assert isinstance(loaded(np.zeros(1600, np.float32), generate_kwargs={"max_new_tokens": 3})["text"], str)
    assert not list(tmp_path.glob("*.files"))
