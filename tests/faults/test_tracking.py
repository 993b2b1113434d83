"""A tracking server that is away, slow, broken or full, and a database that is damaged, full, locked or read-only."""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import pytest

from asr.experiments.journal import Journal
from asr.experiments.sender import PATIENCE_S
from tests.faults import disks
from tests.faults.flow import N_STEPS, Done, Flow, remove
from tests.faults.table import Seen, note
from tests.servers import TrackingServer, tracking_server

pytestmark = pytest.mark.slow
BUSY_S = 15.0  # that a training may be slower for other reasons, on a machine that other tests share


def weights(flow: Flow) -> bytes:
    return (flow.data / "model/model.safetensors").read_bytes()


def replayed(flow: Flow, times: int = 1) -> None:
    """What the journal has comes to a store once, however often it is sent."""
    store = flow.folder / "later.db"
    for _ in range(times):
        done = flow.run("asr.tracking", "replay", MLFLOW_TRACKING_URI=f"sqlite:///{store}")
        assert done.status == 0, done.said
    with closing(sqlite3.connect(store)) as database:
        assert database.execute("select status from runs").fetchall() == [("FINISHED",)]
        steps = database.execute("select step from metrics where key = 'train_loss' order by step").fetchall()
    assert steps == [(step,) for step in range(1, N_STEPS + 1)]


def kept(flow: Flow) -> None:
    """The journal has all of a run that no server has had a part of; what `replayed` sends."""
    (path,) = (flow.data / "journal").glob("*.jsonl")
    records = Journal(path).records()
    assert [records[0]["do"], records[-1]["do"], records[-1]["status"]] == ["start", "end", "FINISHED"]
    logged = [record["step"] for record in records if "train_loss" in record.get("metrics", {})]
    assert logged == list(range(1, N_STEPS + 1))
    assert not path.with_suffix(".sent").exists()


def train(flow: Flow, uri: str, expected: bytes) -> Done:
    """A training that logs to `uri`, and ends with the weights of one that nothing disturbs."""
    remove(flow.data / "journal")
    done = flow.run_stage("train", MLFLOW_TRACKING_URI=uri)
    assert done.status == 0, done.said
    assert "Traceback" not in done.said, done.said
    assert weights(flow) == expected
    assert done.wall_s < flow.took_s()["train"] + PATIENCE_S + BUSY_S
    return done


def lost(flow: Flow, what: str, done: Done, mended: str = "") -> None:
    """Notes what was told, once, and how much longer the training took."""
    (line,) = [line for line in done.said.splitlines() if "all is kept in" in line]
    kept = "all, in data/journal; `python -m asr.tracking replay` sends it"
    note(Seen("servers", what, line, kept, flow.lost_s(done.wall_s, "train"), mended))


@pytest.mark.parametrize(
    ("illness", "what"),
    [
        ("hangs", "MLflow accepts and never answers"),
        ("drips", "MLflow answers a byte now and then"),
        ("errs", "MLflow answers 500"),
        ("is full", "MLflow's disk is full"),
        ("knows nobody", "MLflow refuses the credentials"),
    ],
)
def test_a_training_outlives_a_tracking_server_that_is_ill(flow: Flow, illness: str, what: str) -> None:
    expected = weights(flow)
    with tracking_server() as server:
        server.illness = illness
        done = train(flow, server.uri, expected)
    kept(flow)
    lost(flow, what, done)


def test_a_training_outlives_a_tracking_server_that_is_not_there(flow: Flow) -> None:
    done = train(flow, "http://127.0.0.1:9", weights(flow))
    replayed(flow, times=2)
    lost(flow, "MLflow is down", done)


def test_a_training_outlives_a_tracking_server_that_dies(flow: Flow) -> None:
    expected = weights(flow)
    with tracking_server() as server:
        threading.Thread(target=die_after, args=(server, "runs/log-batch"), daemon=True).start()
        done = train(flow, server.uri, expected)
        assert "runs/create" in server.asked
    replayed(flow)
    lost(flow, "MLflow dies in the middle of a training", done)


def die_after(server: TrackingServer, endpoint: str) -> None:
    while endpoint not in server.asked and not server.is_closed.is_set():
        time.sleep(0.01)
    server.shutdown()
    server.server_close()


@contextmanager
def damaged(folder: Path) -> Iterator[None]:
    store = folder / "mlflow.db"
    content = bytearray(store.read_bytes())
    content[: len(content) // 2] = b"\xff" * (len(content) // 2)
    store.write_bytes(content)
    yield


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    with closing(sqlite3.connect(folder / "mlflow.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


@contextmanager
def locked_later(folder: Path) -> Iterator[None]:
    """Once the training's run is there."""
    is_over = threading.Event()

    def lock() -> None:
        with closing(sqlite3.connect(folder / "mlflow.db", isolation_level=None)) as other:
            n_before = n_runs = count(other)
            while n_runs == n_before and not is_over.wait(0.01):
                n_runs = count(other)
            other.execute("BEGIN IMMEDIATE")
            is_over.wait()

    thread = threading.Thread(target=lock)
    thread.start()
    yield
    is_over.set()
    thread.join()


def count(database: sqlite3.Connection) -> int:
    (n_runs,) = database.execute("select count(*) from runs").fetchone()
    return int(n_runs)


MENDED = {
    disks.filled: "MLflow traced it on the terminal, and its line ended before the reason",
    locked: "MLflow tried for 20 s, where 10 are promised",
}


@pytest.mark.parametrize(
    ("what", "harm", "says"),
    [
        ("the disk of MLflow's database is full", disks.filled, "disk is full"),
        ("the disk of MLflow's database is read-only", disks.read_only, "attempt to write a readonly database"),
        ("the file of MLflow's database is damaged", damaged, "file is not a database"),
        ("another program has locked MLflow's database", locked, "database is locked"),
        ("another program locks MLflow's database during a training", locked_later, "database is locked"),
    ],
)
def test_a_training_outlives_a_database_that_takes_nothing(
    flow: Flow,
    experiments: Path,
    tmp_path: Path,
    what: str,
    harm: Callable[[Path], AbstractContextManager[None]],
    says: str,
) -> None:
    expected = weights(flow)
    with disks.disk(tmp_path / "store", "size=16m") as folder:
        (folder / "mlflow.db").write_bytes((experiments / "mlflow.db").read_bytes())
        with harm(folder):
            done = train(flow, f"sqlite:///{folder}/mlflow.db", expected)
    assert says in done.said, done.said
    if harm is locked_later:
        replayed(flow)
    else:
        kept(flow)
    lost(flow, what, done, MENDED.get(harm, ""))


def test_an_evaluation_outlives_a_tracking_server_that_is_ill(flow: Flow) -> None:
    predictions = (flow.data / "report/predictions.parquet").read_bytes()
    with tracking_server() as server:
        server.illness = "hangs"
        done = flow.run_stage("evaluate", MLFLOW_TRACKING_URI=server.uri)
    assert done.status == 0, done.said
    assert "Traceback" not in done.said, done.said
    (line,) = [line for line in done.said.splitlines() if "all is kept in" in line]
    assert (flow.data / "report/predictions.parquet").read_bytes() == predictions
    kept = "all, in data/journal; `python -m asr.tracking replay` sends it"
    note(Seen("servers", "MLflow never answers an evaluation", line, kept, flow.lost_s(done.wall_s, "evaluate")))


def test_a_replay_to_a_server_that_is_still_away_loses_nothing(flow: Flow) -> None:
    remove(flow.data / "journal")
    assert flow.run_stage("train").status == 0
    done = flow.run("asr.tracking", "replay", MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    assert done.status == 1, done.said
    assert "Traceback" not in done.said, done.said
    (line,) = [line for line in done.said.splitlines() if "nothing is lost" in line]
    replayed(flow)
    note(Seen("servers", "MLflow is still down at the replay", line, "all, in data/journal", done.wall_s))
