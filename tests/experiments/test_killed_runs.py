"""Runs whose process was killed: closed by the next one or by replay, or continued as one run."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from asr.errors import UserError
from asr.experiments.replay import close_killed, replay
from asr.experiments.run import Run
from tests.logged import DEAD, kill, run_of


def test_a_process_killed_outright_is_closed_as_killed_by_replay(client: Any, tmp_path: Path) -> None:
    run = Run("train", journal=tmp_path).__enter__()
    assert replay(tmp_path) == 0  # a journal that is being written is left alone
    kill(run)
    assert replay(tmp_path) == 1
    assert run_of(client, run.to_json()["journal"]).info.status == "KILLED"


def test_the_next_run_closes_one_that_was_killed_and_leaves_one_that_goes_on(client: Any, tmp_path: Path) -> None:
    killed, going = (Run("train", journal=tmp_path).__enter__() for _ in range(2))
    kill(killed)
    with Run("train", journal=tmp_path):
        pass
    assert run_of(client, killed.to_json()["journal"]).info.status == "KILLED"
    assert run_of(client, going.to_json()["journal"]).info.status == "RUNNING"
    going.__exit__(None, None, None)
    assert run_of(client, going.to_json()["journal"]).info.status == "FINISHED"


def test_what_cannot_be_closed_does_not_trouble_the_next_run(
    client: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    killed = Run("train", journal=tmp_path).__enter__()
    killed._journal.append({"do": "artifact", "time_ms": 0, "kept": "deleted/by/hand", "folder": None})
    kill(killed)
    with Run("train", journal=tmp_path) as run:
        run.log_params({"a": 1})
    assert run_of(client, run.to_json()["journal"]).data.params == {"a": "1"}
    assert capsys.readouterr().err == ""


def begin_and_kill(folder: Path) -> Run:
    """A run with three steps, whose process is killed; the last line is cut off."""
    run = Run("train", journal=folder).__enter__()
    run.log_params({"seed": 1})
    run.log_dataset("features", "1" * 32, n_rows=9)
    for step in (1, 2, 3):
        run.log_metrics({"train_loss": 5.0 - step}, step)
    run._journal._file.write('{"do": "met')
    kill(run)
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
    run = go_on(tmp_path, earlier := begin_and_kill(tmp_path))
    check_whole(client, run)
    assert run.to_json() == earlier.to_json()
    assert len(list(tmp_path.glob("*.jsonl"))) == 1
    assert replay(tmp_path) == 0


def test_a_run_that_others_have_closed_or_that_failed_is_open_again(client: Any, tmp_path: Path) -> None:
    earlier = begin_and_kill(tmp_path)
    with Run("another", journal=tmp_path / "of another") as other:
        close_killed(other._store, tmp_path)
    run_id = earlier.to_json()["run_id"]
    assert client.get_run(run_id).info.status == "KILLED"
    with pytest.raises(ValueError, match="bad"), Run("train", journal=tmp_path, continues=earlier.to_json()):
        assert client.get_run(run_id).info.status == "RUNNING"
        raise ValueError("bad")
    assert client.get_run(run_id).info.status == "FAILED"
    check_whole(client, go_on(tmp_path, earlier))


def test_a_run_that_was_deleted_is_made_anew_with_all_it_had(client: Any, tmp_path: Path) -> None:
    earlier = begin_and_kill(tmp_path)
    client.delete_run(earlier.to_json()["run_id"])
    run = go_on(tmp_path, earlier)
    check_whole(client, run)
    assert run.to_json()["run_id"] != earlier.to_json()["run_id"]


def test_a_run_whose_journal_is_gone_is_a_new_one(client: Any, tmp_path: Path) -> None:
    earlier = begin_and_kill(tmp_path)
    for path in tmp_path.glob("*.jsonl"):
        path.unlink()
    run = go_on(tmp_path, earlier)
    assert run.to_json()["journal"] != earlier.to_json()["journal"]
    assert run_of(client, run.to_json()["journal"]).data.params["seed"] == "2"


def test_a_run_goes_on_without_its_server_and_replay_sends_the_rest(
    client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    earlier = begin_and_kill(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", DEAD)
    run = go_on(tmp_path, earlier)
    assert capsys.readouterr().err.count("unreachable") == 1
    monkeypatch.setenv("MLFLOW_TRACKING_URI", client.tracking_uri)
    assert replay(tmp_path) > 0
    run._journal.sent = json.loads(next(tmp_path.glob("*.sent")).read_text())
    check_whole(client, run)


@pytest.mark.usefixtures("client")
def test_a_run_that_another_process_has_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    earlier = begin_and_kill(tmp_path)
    monkeypatch.setattr("asr.experiments.run._WAIT_S", 0.3)
    assert earlier._journal.open()
    with pytest.raises(UserError, match="another process still goes on with this run"):
        go_on(tmp_path, earlier)
    threading.Timer(0.1, earlier._journal.close).start()
    go_on(tmp_path, earlier)
