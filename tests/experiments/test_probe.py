"""asr/experiments/probe.py: a dead address, and a database that cannot be written, are known at once."""

import os
import socket
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from asr.experiments import probe


def test_an_address_is_probed_and_a_database_that_is_not_made_yet_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("urllib.request.getproxies", dict)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        probe.probe(f"http://user:secret@{address}/path")
    probe.probe("sqlite:////nowhere/mlflow.db")
    with pytest.raises(ConnectionRefusedError):
        probe.probe(f"http://{address}")


def test_an_address_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("urllib.request.getproxies", dict)
    monkeypatch.setattr(probe, "CONNECT_S", 0.05)
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: time.sleep(0.2) or socket.socket())
    with pytest.raises(TimeoutError, match=r"within 0\.05 s"):
        probe.probe("http://example.org")


def test_a_database_that_can_be_written_stays_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute("create table runs (id)")
        content = path.read_bytes()
        probe.probe(f"sqlite:///{path}")
    assert path.read_bytes() == content
    assert [file.name for file in tmp_path.iterdir()] == ["mlflow.db"]


def test_a_locked_database_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "LOCKED_S", 0.05)
    path = tmp_path / "mlflow.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("create table runs (id)")
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError, match="database is locked"):
            probe.probe(f"sqlite:///{path}")
        other.execute("ROLLBACK")
    probe.probe(f"sqlite:///{path}")


def test_a_damaged_database_is_given_up(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"\xff" * 4096)
    with pytest.raises(sqlite3.DatabaseError, match="not a database"):
        probe.probe(f"sqlite:///{tmp_path}/mlflow.db")


def test_a_database_in_a_folder_that_cannot_be_written_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
    with pytest.raises(PermissionError, match="cannot be written"):
        probe.probe(f"sqlite:///{tmp_path}/new/mlflow.db")
