"""Servers that are down, die, hang, drip or err: no run waits for long, and all of it arrives later, once."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from asr.experiments import sender
from asr.experiments.replay import replay
from asr.experiments.run import Run
from tests.logged import DEAD, check_everything, lines, log_everything, run_of
from tests.servers import tracking_server

OVERHEAD_S = 2.0  # of a busy machine; a client that waited for the server would lose minutes


@pytest.fixture
def dead(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", DEAD)


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
    assert replay(tmp_path / "journal") == len(records)
    run = check_everything(client, run_json["journal"])
    assert (run.info.start_time, run.info.end_time) == (records[0]["time_ms"], records[-1]["time_ms"])
    assert replay(tmp_path / "journal") == 0
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
        replay(tmp_path / "journal")
    assert run_of(client, run_json["journal"]).info.status == "RUNNING"
    assert 0 < replay(tmp_path / "journal") < len(lines(tmp_path / "journal"))
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
    replay(tmp_path)
    assert run_of(client, run.to_json()["journal"]).data.params == {"a": "1", "b": "2"}


@pytest.mark.usefixtures("dead")
def test_parent_and_child_of_an_outage_find_each_other(
    client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Run("train", journal=tmp_path) as train:
        pass
    with Run("evaluate", parent=train.to_json(), journal=tmp_path) as evaluate:
        evaluate.log_headline({"wer": 0.2})
    monkeypatch.setenv("MLFLOW_TRACKING_URI", client.tracking_uri)
    replay(tmp_path)
    parent, child = (run_of(client, run.to_json()["journal"]) for run in (train, evaluate))
    assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert "stands_in_for" not in parent.data.tags
    assert parent.data.metrics == {"wer": 0.2}


@pytest.fixture
def patience_s(monkeypatch: pytest.MonkeyPatch) -> float:
    monkeypatch.setattr(sender, "PATIENCE_S", 0.6)
    return 0.6


def log_slowly(run: Run) -> float:
    """Six steps of a training, 0.1 s each; returns the seconds that logging them took."""
    lost_s = 0.0
    for step in range(6):
        started_s = time.monotonic()
        run.log_metrics({"loss": 3.0}, step)
        run.log_params({f"step {step}": "done"})
        lost_s += time.monotonic() - started_s
        time.sleep(0.1)
    return lost_s


@pytest.mark.parametrize("falls_ill", ["at the start", "in the middle", "at the end"])
@pytest.mark.parametrize("illness", ["hangs", "drips", "errs"])
def test_no_illness_of_a_server_costs_more_than_the_patience_of_a_process(
    client: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    patience_s: float,
    illness: str,
    falls_ill: str,
) -> None:
    with tracking_server() as server:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
        server.illness = illness if falls_ill == "at the start" else None
        started_s = time.monotonic()
        with Run("train", journal=tmp_path) as run:
            lost_s = time.monotonic() - started_s
            server.illness = illness if falls_ill == "in the middle" else server.illness
            lost_s += log_slowly(run)
            run._sender.wait()
            server.illness = illness
            started_s = time.monotonic()
        lost_s += time.monotonic() - started_s
    assert lost_s < patience_s + OVERHEAD_S
    assert capsys.readouterr().err.count("unreachable") == 1

    monkeypatch.setenv("MLFLOW_TRACKING_URI", client.tracking_uri)
    assert replay(tmp_path) == len(lines(tmp_path)) == 14
    found = run_of(client, run.to_json()["journal"])
    assert found.info.status == "FINISHED"
    assert len(found.data.params) == 6
    assert [point.step for point in client.get_metric_history(found.info.run_id, "loss")] == list(range(6))
    assert replay(tmp_path) == 0


@pytest.mark.usefixtures("client")
def test_a_slow_server_delays_no_step_of_a_training_and_gets_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with tracking_server() as server:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
        with Run("train", journal=tmp_path) as run:
            server.answer_after_s = 0.1
            assert log_slowly(run) < 0.1
    assert capsys.readouterr().err == ""
    assert json.loads(next(tmp_path.glob("*.sent")).read_text())["n_records"] == len(lines(tmp_path))


@pytest.mark.usefixtures("client", "patience_s")
def test_the_time_that_an_upload_takes_is_not_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sender, "UPLOAD_BYTES_PER_S", 1000)
    (tmp_path / "model").write_bytes(bytes(2000))
    monkeypatch.setattr("mlflow.MlflowClient.log_artifact", lambda *_: time.sleep(1.2))
    with tracking_server() as server:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
        with Run("train", journal=tmp_path) as run:
            run.log_artifact(tmp_path / "model")
    assert capsys.readouterr().err == ""


def test_an_answer_that_comes_after_all_does_not_disturb_who_sends_next(
    client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, patience_s: float
) -> None:
    with tracking_server() as server:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
        with Run("train", journal=tmp_path) as run:
            server.answer_after_s = 2 * patience_s
            run.log_params({"a": 1})
        monkeypatch.setenv("MLFLOW_TRACKING_URI", client.tracking_uri)
        assert replay(tmp_path) == 3
        note = next(tmp_path.glob("*.sent"))
        noted = note.read_text()
        time.sleep(2 * patience_s)
    assert note.read_text() == noted
    assert run_of(client, run.to_json()["journal"]).data.params == {"a": "1"}
