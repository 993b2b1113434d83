"""Several processes behave as one: one line for an error, a signal that reaches all, and none that is left behind."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

from asr.errors import UserError
from asr.train import launch
from tests.running import Running

# Without compiled modules, each process compiles torch anew.
NOT_INHERITED = ("RANK", "WORLD_SIZE", "OMP_NUM_THREADS", "PYTHONDONTWRITEBYTECODE")
# A stage that says what it is, breaks as it is told, and leaves a file when it is ended by SIGTERM.
STAGE = """
import os, signal, sys, time
from pathlib import Path
from asr.train import launch
from asr.errors import UserError
from stages import stage

def main(how):
    if (status := launch.relaunched()) is not None:
        sys.exit(status)
    rank = os.environ["RANK"]
    def leave(number, frame):
        time.sleep(0.5)  # it saves
        Path(f"saved-{rank}").touch()
        sys.exit(128 + number)
    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, leave)
    print(rank, os.environ["WORLD_SIZE"], os.environ["OMP_NUM_THREADS"], flush=True)
    Path(f"started-{rank}").touch()
    if str(how) == "mendable" and rank == "1":
        raise UserError("data/features: broken")
    if str(how) == "mendable":
        time.sleep(0.3)
        raise RuntimeError("connection closed by peer")
    if str(how) == "wait":
        time.sleep(60)

if __name__ == "__main__":
    stage(main)
"""


def test_there_is_a_process_for_each_gpu_and_at_least_one():
    assert [launch.n_processes(None, n_gpus) for n_gpus in (0, 1, 4)] == [1, 1, 4]
    assert launch.n_processes("", 2) == 2


def test_the_environment_may_ask_for_fewer_or_for_several_without_a_gpu():
    assert launch.n_processes("2", 4) == 2
    assert launch.n_processes("3", 0) == 3


@pytest.mark.parametrize("requested", ["0", "-1", "two", "1.5"])
def test_what_is_no_number_of_processes_is_refused(requested):
    with pytest.raises(UserError, match="TRAIN_PROCESSES is '"):
        launch.n_processes(requested, 0)


def test_more_processes_than_gpus_are_refused():
    with pytest.raises(UserError, match="TRAIN_PROCESSES is 4, but 2 GPUs are visible; take at most 2"):
        launch.n_processes("4", 2)


@pytest.mark.parametrize("environment", [{"RANK": "0", "WORLD_SIZE": "2"}, {"TRAIN_PROCESSES": "1"}])
def test_a_process_that_was_launched_or_is_alone_trains_itself(monkeypatch, environment):
    for name in ("RANK", "WORLD_SIZE", "TRAIN_PROCESSES"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert launch.relaunched() is None


def failure(folder: Path, rank: int, exitcode: int, said: dict | None = None) -> ProcessFailure:
    file = folder / str(rank)
    if said:
        file.write_text(json.dumps({"timestamp": 0, **said}))
    return ProcessFailure(rank, 1000 + rank, exitcode, str(file))


CLOSED = {"message": "Traceback\\nRuntimeError: connection closed by peer", "time_s": 1.0, "mendable": False}
BUG = {"message": "Traceback\\nValueError: a bug", "time_s": 2.0, "mendable": False}
BROKEN = {"message": "error: data/features: broken", "time_s": 3.0, "mendable": True}


@pytest.mark.parametrize(
    ("exits", "status", "line"),
    [
        ([(1, CLOSED), (1, BROKEN)], 1, "error: data/features: broken"),
        ([(1, CLOSED), (1, BUG)], 1, "process 1 of 2:"),
        ([(1, CLOSED), (-9, None)], 137, "error: process 2 of 2 was killed, probably by the kernel for want of memory"),
        ([(-15, None), (1, BUG)], 1, "process 2 of 2:"),
        ([(1, CLOSED), (-15, BROKEN)], 1, "error: data/features: broken"),  # torchrun's SIGTERM met it as it left
        ([(-15, None), (-11, None)], 139, "error: process 2 of 2 ended by SIGSEGV"),
    ],
)
def test_of_all_failures_the_one_that_caused_the_others_is_told(tmp_path, capsys, exits, status, line):
    failures = {rank: failure(tmp_path, rank, *what) for rank, what in enumerate(exits)}
    assert launch._explain(failures, 2) == status
    assert capsys.readouterr().err.splitlines()[0].startswith(line)


def test_a_status_without_words_is_handed_on_in_silence(tmp_path, capsys):
    assert launch._explain({0: failure(tmp_path, 0, 143), 1: failure(tmp_path, 1, -15)}, 2) == 143
    assert capsys.readouterr().err == ""


@pytest.fixture
def started(tmp_path):
    """A function that starts the stage in two processes, and waits until both run."""
    (tmp_path / "toy.py").write_text(STAGE)

    def start(how: str, wait: bool = True) -> Running:
        mark = f"RUN={tmp_path}"
        environment = {name: value for name, value in os.environ.items() if name not in NOT_INHERITED}
        environment |= {"TRAIN_PROCESSES": "2", "RUN": str(tmp_path)}
        process = subprocess.Popen(
            [sys.executable, "-m", "toy", how],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        while wait and not all((tmp_path / f"started-{rank}").exists() for rank in (0, 1)):
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        return Running(process, mark)

    return start


def test_an_error_is_told_once_and_without_what_it_broke_elsewhere(started):
    process = started("mendable", wait=False).process
    out, said = process.communicate(timeout=120)
    n_threads = max(1, len(os.sched_getaffinity(0)) // 2)
    assert (process.returncode, out, said) == (1, f"0 2 {n_threads}\n", "error: data/features: broken\n")


@pytest.mark.parametrize("name", ["SIGTERM", pytest.param("SIGINT", marks=pytest.mark.slow)])
def test_a_signal_reaches_all_processes_and_they_may_save(started, tmp_path, name):
    running = started("wait")
    os.kill(running.process.pid, signal.Signals[name])
    status, said = running.end()
    assert (status, said) == (128 + signal.Signals[name], "")
    assert sorted(path.name for path in tmp_path.glob("saved-*")) == ["saved-0", "saved-1"]
    assert running.left_behind() == []


def test_processes_whose_parent_is_killed_save_and_leave(started, tmp_path):
    running = started("wait")
    os.kill(running.process.pid, signal.SIGKILL)
    running.process.wait()
    assert running.left_behind() == []
    assert sorted(path.name for path in tmp_path.glob("saved-*")) == ["saved-0", "saved-1"]
