"""Whatever listens while the flow works, or shows its results, listens to this machine alone."""

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.builders import unequal_clips, write_features, write_selection
from tests.emulators import free_port
from tests.faults.flow import Done, Flow, ended
from tests.faults.hostile import bare, good_rows, write_table
from tests.faults.table import Seen, note
from tests.running import Running

GROUP = "security"
WAIT_S = 120.0
LOOPBACK = ("127.", "::1", "::ffff:127.")


def listening(pid: int) -> set[tuple[str, int]]:
    """Address and port of all that a process and its children listen at."""
    found = set()
    with contextlib.suppress(psutil.Error):
        main = psutil.Process(pid)
        for process in (main, *main.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                connections = process.net_connections("inet")
                found |= {(one.laddr.ip, one.laddr.port) for one in connections if one.status == psutil.CONN_LISTEN}
    return found


def watched(running: Running) -> tuple[Done, set[tuple[str, int]]]:
    """How a process ended, and all that it and its children ever listened at."""
    started_s, found = time.monotonic(), set()
    while running.process.poll() is None and time.monotonic() - started_s < WAIT_S:
        found |= listening(running.process.pid)
        time.sleep(0.05)
    return ended(running, started_s), found


def foreign(addresses: set[tuple[str, int]]) -> set[tuple[str, int]]:
    return {address for address in addresses if not address[0].startswith(LOOPBACK)}


@pytest.mark.slow
def test_the_workers_of_preprocess_are_served_on_this_machine_alone(tmp_path: Path, scratch: Path) -> None:
    """Beam's servers take whoever calls for a worker, and unpickle what it answers."""
    flow = bare(tmp_path / "project", scratch)
    write_table(flow, good_rows(flow))
    flow.choose({"features": {"shard_mb": 0.1}})
    for stage in ("listing", "prepare"):
        assert flow.run_stage(stage).status == 0
    done, found = watched(flow.start_stage("preprocess", BEAM_WORKERS="2"))
    assert done.status == 0, done.said
    assert len(found) >= 4  # control, data, state and logging
    assert foreign(found) == set()
    note(
        Seen(
            GROUP,
            "another machine that answers as a worker of preprocess",
            "",
            "the job: its servers cannot be reached from there",
            mended="Beam's four servers listened to every network, and unpickle what a worker answers",
        )
    )


@pytest.mark.slow
def test_the_processes_of_a_training_meet_on_this_machine_alone(tmp_path: Path, scratch: Path) -> None:
    """Torch's own stores listen to every network, and unpickle what stands in one of them."""
    flow = bare(tmp_path / "project", scratch)
    clips = unequal_clips(8)
    write_features(flow.data / "features", dict.fromkeys(("train", "validation", "test"), clips))
    write_selection(flow.data / "selection", flow.data / "features")
    flow.choose({"train": {"max_steps": 2, "batch_size": 4, "eval_steps": 2, "eval_wer": 0, "warmup_steps": 1}})
    done, found = watched(flow.start_stage("train", TRAIN_PROCESSES="2"))
    assert done.status == 0, done.said
    assert len(found) >= 2
    assert foreign(found) == set()
    note(
        Seen(
            GROUP,
            "another machine that joins a training of several processes",
            "",
            "the training: where its processes meet cannot be reached from there",
            mended="torch's two stores listened to every network, and one is unpickled; now a file, and the loopback",
        )
    )


def started(flow: Flow, words: tuple[str, ...], port: int, **environment: str) -> set[tuple[str, int]]:
    """What a server that has begun to listen at a port listens at, all in all."""
    running = flow.start(*words, **environment)
    until_s = time.monotonic() + WAIT_S
    try:
        while not any(number == port for _, number in listening(running.process.pid)):
            assert running.process.poll() is None, running.process.communicate()
            assert time.monotonic() < until_s
            time.sleep(0.1)
        return listening(running.process.pid)
    finally:
        for process in (*psutil.Process(running.process.pid).children(recursive=True), running.process):
            process.terminate()
        running.process.communicate(timeout=30)


def ui(port: int) -> tuple[tuple[str, ...], dict[str, str]]:
    return ("asr.tracking", "ui"), {"MLFLOW_PORT": str(port)}


def demo(port: int) -> tuple[tuple[str, ...], dict[str, str]]:
    return ("asr.demo", "--model", "data/base", "--base", "data/none"), {"DEMO_PORT": str(port)}


@pytest.mark.slow
@pytest.mark.parametrize("server", [ui, demo])
def test_what_shows_results_listens_to_this_machine_alone(
    tmp_path: Path, scratch: Path, server: Callable[[int], tuple[tuple[str, ...], dict[str, str]]]
) -> None:
    """Also where the environment would have it otherwise."""
    flow = bare(tmp_path / "project", scratch)
    port = free_port()
    words, environment = server(port)
    # The variables by which MLflow and Gradio would be told another address.
    elsewhere = {"MLFLOW_HOST": "0.0.0.0", "GRADIO_SERVER_NAME": "0.0.0.0", "GRADIO_SHARE": "True"}
    store = f"sqlite:///{flow.folder / 'mlflow.db'}"
    found = started(flow, words, port, **environment, **elsewhere, MLFLOW_TRACKING_URI=store)
    assert foreign(found) == set()
    if server is demo:
        fault = "another machine that would open the pages of `make ui` or `make demo`"
        note(Seen(GROUP, fault, "", "what they show: they cannot be reached from there"))
