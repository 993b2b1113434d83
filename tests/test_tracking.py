"""asr/run.py, asr/tracking.py: all is in the journal, and MLflow has it exactly once, whatever the server does."""

import contextlib
import io
import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from asr import tracking
from asr.errors import UserError
from asr.run import EXPERIMENT, Run

DEAD = "http://user:secret@127.0.0.1:9"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A client of one SQLite store for all tests here: to make one takes seconds."""
    folder = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
        said = io.StringIO()
        streams = contextlib.redirect_stdout(said), contextlib.redirect_stderr(said)
        with streams[0], streams[1], Run("first", journal=folder / "journal"):
            pass
        assert said.getvalue().startswith("creating the experiments' database mlflow.db\n")
        from mlflow import MlflowClient

        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
        yield MlflowClient(os.environ["MLFLOW_TRACKING_URI"])


@pytest.fixture
def dead(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", DEAD)


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


def test_a_run_arrives_whole_and_keeps_no_artifact_twice(client: Any, tmp_path: Path) -> None:
    run_json = log_everything(tmp_path)
    assert check_everything(client, run_json["journal"]).info.run_id == run_json["run_id"]
    assert not list(tmp_path.glob("journal/*.files"))
    assert tracking.replay(tmp_path / "journal") == 0


def test_the_default_store_lies_in_the_project_and_does_not_move(client: Any) -> None:
    experiment = client.get_experiment_by_name(EXPERIMENT)
    database = Path(os.environ["MLFLOW_TRACKING_URI"].removeprefix("sqlite:///"))
    assert experiment.artifact_location == (database.parent / "mlartifacts").as_uri()


@pytest.mark.usefixtures("dead")
def test_a_dead_server_costs_one_line_and_replay_sends_all_of_it_once(
    client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_json = log_everything(tmp_path)
    told = capsys.readouterr().err
    assert len(told.splitlines()) == 1
    assert "tracking server http://127.0.0.1:9 unreachable" in told
    assert "python -m asr.tracking replay" in told
    assert run_json["run_id"] is None
    assert "secret" not in told + json.dumps(run_json)

    (tmp_path / "report.html").unlink()  # as DVC does before the next run of the stage
    monkeypatch.setenv("MLFLOW_TRACKING_URI", client.tracking_uri)
    records = lines(tmp_path / "journal")
    assert tracking.replay(tmp_path / "journal") == len(records)
    run = check_everything(client, run_json["journal"])
    assert (run.info.start_time, run.info.end_time) == (records[0]["time_ms"], records[-1]["time_ms"])
    assert tracking.replay(tmp_path / "journal") == 0
    check_everything(client, run_json["journal"])


def test_a_replay_that_breaks_off_goes_on_where_it_was(
    client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", DEAD)
    run_json = log_everything(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", client.tracking_uri)

    def broken(*_: Any, **__: Any) -> None:
        raise ConnectionError

    with monkeypatch.context() as patch, pytest.raises(ConnectionError):
        patch.setattr("mlflow.MlflowClient.log_inputs", broken)
        tracking.replay(tmp_path / "journal")
    assert run_of(client, run_json["journal"]).info.status == "RUNNING"
    assert 0 < tracking.replay(tmp_path / "journal") < len(lines(tmp_path / "journal"))
    check_everything(client, run_json["journal"])


def test_a_server_that_dies_in_the_middle_is_not_asked_again(
    client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    n_asked = 0

    def broken(*_: Any, **__: Any) -> None:
        nonlocal n_asked
        n_asked += 1
        raise ConnectionError("gone")

    with monkeypatch.context() as patch, Run("train", journal=tmp_path) as run:
        patch.setattr("mlflow.MlflowClient.log_batch", broken)
        run.log_params({"a": 1})
        run.log_params({"b": 2})
    assert n_asked == 1
    assert capsys.readouterr().err.count("unreachable") == 1
    assert run_of(client, run.to_json()["journal"]).data.params == {}
    tracking.replay(tmp_path)
    assert run_of(client, run.to_json()["journal"]).data.params == {"a": "1", "b": "2"}


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


def test_a_process_killed_outright_is_closed_as_killed_by_replay(client: Any, tmp_path: Path) -> None:
    run = Run("train", journal=tmp_path).__enter__()
    assert tracking.replay(tmp_path) == 0  # a journal that is being written is left alone
    run._journal.close()  # as the system does for a killed process
    assert tracking.replay(tmp_path) == 1
    assert run_of(client, run.to_json()["journal"]).info.status == "KILLED"


def test_the_next_run_closes_one_that_was_killed_and_leaves_one_that_goes_on(client: Any, tmp_path: Path) -> None:
    killed, going = (Run("train", journal=tmp_path).__enter__() for _ in range(2))
    killed._journal.close()
    with Run("train", journal=tmp_path):
        assert run_of(client, killed.to_json()["journal"]).info.status == "KILLED"
        assert run_of(client, going.to_json()["journal"]).info.status == "RUNNING"
    going.__exit__(None, None, None)
    assert run_of(client, going.to_json()["journal"]).info.status == "FINISHED"


def test_what_cannot_be_closed_does_not_trouble_the_next_run(
    client: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    killed = Run("train", journal=tmp_path).__enter__()
    killed._journal.append({"do": "artifact", "time_ms": 0, "kept": "deleted/by/hand", "folder": None})
    killed._journal.close()
    with Run("train", journal=tmp_path) as run:
        run.log_params({"a": 1})
    assert run_of(client, run.to_json()["journal"]).data.params == {"a": "1"}
    assert capsys.readouterr().err == ""


def begin(folder: Path) -> Run:
    """A run with three steps, whose process is killed; the last line is cut off."""
    handler = signal.getsignal(signal.SIGTERM)
    run = Run("train", journal=folder).__enter__()
    signal.signal(signal.SIGTERM, handler)
    run.log_params({"seed": 1})
    run.log_dataset("features", "1" * 32, n_rows=9)
    for step in (1, 2, 3):
        run.log_metrics({"train_loss": 5.0 - step}, step)
    run._journal._file.write('{"do": "met')
    run._journal.close()
    return run


def go_on(folder: Path, earlier: Run) -> Run:
    """The same run from step 2 on."""
    with Run("train", journal=folder, continues=earlier.to_json()) as run:
        run.log_params({"seed": 2, "training.steps": 4})
        run.log_dataset("features", "2" * 32, n_rows=9)
        for step in (3, 4):
            run.log_metrics({"train_loss": 5.0 - step, "validation_loss": 5.5 - step}, step)
    return run


def check_whole(client: Any, run: Run) -> None:
    found = run_of(client, run.to_json()["journal"])
    assert found.info.run_id == run.to_json()["run_id"]
    assert found.info.status == "FINISHED"
    assert "error" not in found.data.tags
    assert found.data.params == {"seed": "1", "training.steps": "4"}
    assert [entry.dataset.digest for entry in found.inputs.dataset_inputs] == ["1" * 32]
    for name, steps in {"train_loss": [1, 2, 3, 4], "validation_loss": [3, 4]}.items():
        assert [point.step for point in client.get_metric_history(found.info.run_id, name)] == steps
    assert run.curve() == [
        {"step": 1, "train_loss": 4.0},
        {"step": 2, "train_loss": 3.0},
        {"step": 3, "train_loss": 2.0},
        {"step": 3, "validation_loss": 2.5},
        {"step": 4, "train_loss": 1.0, "validation_loss": 1.5},
    ]


def test_a_run_that_was_killed_goes_on_as_one_run(client: Any, tmp_path: Path) -> None:
    run = go_on(tmp_path, earlier := begin(tmp_path))
    check_whole(client, run)
    assert run.to_json() == earlier.to_json()
    assert len(list(tmp_path.glob("*.jsonl"))) == 1
    assert tracking.replay(tmp_path) == 0


def test_a_run_that_others_have_closed_or_that_failed_is_open_again(client: Any, tmp_path: Path) -> None:
    earlier = begin(tmp_path)
    with Run("another", journal=tmp_path / "of another") as other:
        tracking.close_killed(other._store, tmp_path)
    run_id = earlier.to_json()["run_id"]
    assert client.get_run(run_id).info.status == "KILLED"
    with pytest.raises(ValueError, match="bad"), Run("train", journal=tmp_path, continues=earlier.to_json()):
        assert client.get_run(run_id).info.status == "RUNNING"
        raise ValueError("bad")
    assert client.get_run(run_id).info.status == "FAILED"
    check_whole(client, go_on(tmp_path, earlier))


def test_a_run_that_was_deleted_is_made_anew_with_all_it_had(client: Any, tmp_path: Path) -> None:
    earlier = begin(tmp_path)
    client.delete_run(earlier.to_json()["run_id"])
    run = go_on(tmp_path, earlier)
    check_whole(client, run)
    assert run.to_json()["run_id"] != earlier.to_json()["run_id"]


def test_a_run_whose_journal_is_gone_is_a_new_one(client: Any, tmp_path: Path) -> None:
    earlier = begin(tmp_path)
    for path in tmp_path.glob("*.jsonl"):
        path.unlink()
    run = go_on(tmp_path, earlier)
    assert run.to_json()["journal"] != earlier.to_json()["journal"]
    assert run_of(client, run.to_json()["journal"]).data.params["seed"] == "2"


def test_a_run_goes_on_without_its_server_and_replay_sends_the_rest(
    client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    earlier = begin(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", DEAD)
    run = go_on(tmp_path, earlier)
    assert capsys.readouterr().err.count("unreachable") == 1
    monkeypatch.setenv("MLFLOW_TRACKING_URI", client.tracking_uri)
    assert tracking.replay(tmp_path) > 0
    run._journal.sent = json.loads(next(tmp_path.glob("*.sent")).read_text())
    check_whole(client, run)


@pytest.mark.usefixtures("client")
def test_a_run_that_another_process_has_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    earlier = begin(tmp_path)
    monkeypatch.setattr("asr.run._WAIT_S", 0.3)
    assert earlier._journal.open()
    with pytest.raises(UserError, match="another process still goes on with this run"):
        go_on(tmp_path, earlier)
    threading.Timer(0.1, earlier._journal.close).start()
    go_on(tmp_path, earlier)


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


@pytest.mark.usefixtures("dead")
def test_parent_and_child_of_an_outage_find_each_other(
    client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Run("train", journal=tmp_path) as train:
        pass
    with Run("evaluate", parent=train.to_json(), journal=tmp_path) as evaluate:
        evaluate.log_headline({"wer": 0.2})
    monkeypatch.setenv("MLFLOW_TRACKING_URI", client.tracking_uri)
    tracking.replay(tmp_path)
    parent, child = (run_of(client, run.to_json()["journal"]) for run in (train, evaluate))
    assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert "stands_in_for" not in parent.data.tags
    assert parent.data.metrics == {"wer": 0.2}


def test_more_than_a_batch_arrives(client: Any, tmp_path: Path) -> None:
    with Run("train", journal=tmp_path) as run:
        run.log_params({f"param {number}": number for number in range(150)})
        for step in range(1200):
            run.log_metrics({"loss": 1.0}, step)
    found = run_of(client, run.to_json()["journal"])
    assert len(found.data.params) == 150
    assert len(client.get_metric_history(found.info.run_id, "loss")) == 1200


@pytest.mark.usefixtures("dead")
def test_a_missing_artifact_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"), Run("train", journal=tmp_path) as run:
        run.log_artifact(tmp_path / "nothing.html")


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("https://user:p%40ss@host:5000/path", "https://host:5000/path"),
        ("sqlite:////project/mlflow.db", "sqlite:////project/mlflow.db"),
        ("databricks", "databricks"),
    ],
)
def test_credentials_are_cut_out_of_an_address(uri: str, expected: str) -> None:
    assert tracking.without_credentials(uri) == expected
