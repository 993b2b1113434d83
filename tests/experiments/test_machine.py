"""asr/experiments/machine.py: a dead address is known at once, and SIGTERM is an exception that unwinds."""

import os
import signal
import socket
import time

import pytest

from asr.experiments import machine


def test_an_address_is_probed_and_a_file_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("urllib.request.getproxies", dict)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        machine.probe(f"http://user:secret@{address}/path")
    machine.probe("sqlite:////nowhere/mlflow.db")
    with pytest.raises(ConnectionRefusedError):
        machine.probe(f"http://{address}")


def test_an_address_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("urllib.request.getproxies", dict)
    monkeypatch.setattr(machine, "CONNECT_S", 0.05)
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: time.sleep(0.2) or socket.socket())
    with pytest.raises(TimeoutError, match=r"within 0\.05 s"):
        machine.probe("http://example.org")


def test_sigterm_raises_the_shells_code_for_it() -> None:
    before = machine.exit_on_sigterm()
    try:
        assert machine.exit_on_sigterm() is None  # somebody handles it already
        with pytest.raises(SystemExit) as left:
            os.kill(os.getpid(), signal.SIGTERM)
        assert left.value.code == 143
    finally:
        signal.signal(signal.SIGTERM, before)


def test_the_load_is_that_of_this_process_too() -> None:
    load = machine.system_metrics()
    assert 0 <= load["system/cpu_utilization_percentage"] <= 100
    assert 0 < load["system/process_memory_megabytes"] < load["system/system_memory_usage_megabytes"]
