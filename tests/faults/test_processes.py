"""Processes that are killed, told to stop, suspended or started twice, at seeded moments."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.faults.flow import STAGES, Done, Flow, ended
from tests.faults.table import Seen, note
from tests.running import Running

EACH_STEP = {"CHECKPOINT_EVERY_S": "0"}
SIGNALS = ("SIGKILL", "SIGTERM", "SIGINT")
KEEPS = {
    "preprocess": "the finished shards",
    "sets": "the finished shards",
    "agreement": "what was heard, shard by shard",
    "train": "the last checkpoint, from which it goes on",
}
QUIET_S = 1.0
SUSPENDED_S = 3.0


def disturbed(running: Running, name: str, after_s: float, *, all_of_it: bool = False) -> Done | None:
    """Sends a signal at that moment and waits for the end; None if it had ended before."""
    started_s = time.monotonic()
    try:
        running.process.wait(after_s)
    except subprocess.TimeoutExpired:
        send = os.killpg if all_of_it else os.kill  # a terminal tells all of a session
        send(running.process.pid, signal.Signals[name])
        return ended(running, started_s)
    running.process.communicate()
    return None


def moment_s(flow: Flow, seed: str, stages: list[str]) -> float:
    """Drawn between the first third and the end of what these stages took undisturbed."""
    return Random(seed).uniform(0.35, 0.9) * sum(flow.took_s()[stage] for stage in stages)


def ended_by(flow: Flow, stage: str, name: str) -> tuple[Done, Running]:
    """A stage that gets a signal at a moment that its name and the signal's decide; sooner, if it was over by then."""
    after_s = moment_s(flow, f"{stage} {name}", [stage])
    while True:
        running = flow.start_stage(stage, **EACH_STEP)
        if done := disturbed(running, name, after_s, all_of_it=name == "SIGINT"):
            return done, running
        after_s *= 0.7


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_that_is_ended_leaves_no_process_and_is_made_again_as_if_never(
    flow: Flow, expected: dict[str, Any], stage: str
) -> None:
    flow.forget(stage)
    said, lost_s = [], 0.0
    for name in SIGNALS:
        done, running = ended_by(flow, stage, name)
        number = signal.Signals[name]
        assert done.status in (-number, 128 + number), done
        assert "Traceback" not in done.said, done.said
        assert running.left_behind() == []
        said += done.errors
        lost_s += done.wall_s
    again = flow.repro()
    assert again.status == 0, again.said
    assert flow.outcome() == expected
    keeps = KEEPS.get(stage, "the other stages' outputs; it starts anew")
    sees = said[0] if said else ""
    mended = "Ctrl-C ended in a traceback, with status 1, while modules were imported" if stage == "train" else ""
    note(Seen("processes", f"{stage}: SIGKILL, SIGTERM and Ctrl-C", sees, keeps, lost_s / len(SIGNALS), mended))


@pytest.mark.slow
@pytest.mark.parametrize("name", [*SIGNALS, "SIGHUP"])
def test_dvc_repro_that_is_ended_takes_its_stage_with_it(flow: Flow, expected: dict[str, Any], name: str) -> None:
    """Of one signal with all that follows a training; the others end with it."""
    until, after = ((), ("evaluate", "export")) if name == "SIGTERM" else (("train",), ())
    flow.forget("preprocess", "train")
    running = flow.start("dvc", "repro", *until)
    after_s = moment_s(flow, f"repro {name}", ["listing", "preprocess", "train"])
    done = disturbed(running, name, after_s, all_of_it=name in ("SIGINT", "SIGHUP"))
    assert done is not None and done.status != 0, done
    if "init_import_site" not in done.said:  # Python itself had not started yet
        assert "Traceback" not in done.said, done.said
    assert running.left_behind() == []
    before = contents(flow.data)
    time.sleep(QUIET_S)
    assert contents(flow.data) == before
    assert flow.run("asr.lock").status == 0  # as `make repro` does: DVC may have been writing dvc.lock
    again = flow.repro(*until)
    assert again.status == 0, again.said
    assert flow.outcome() == expected
    what = {"SIGINT": "Ctrl-C in `dvc repro`", "SIGHUP": "the terminal of `dvc repro` closed"}
    note(
        Seen(
            "processes",
            what.get(name, f"{name} to `dvc repro`"),
            done.errors[-1] if done.errors else "",
            "finished stages, finished shards, the last checkpoint; no process goes on writing",
            done.wall_s + flow.lost_s(again.wall_s, "listing", "preprocess", "train", *after),
        )
    )


def contents(folder: Path) -> dict[Path, tuple[int, int]]:
    found = {path: path.stat() for path in folder.rglob("*") if path.is_file()}
    return {path: (stat.st_size, stat.st_mtime_ns) for path, stat in found.items()}


def started(stage: str, running: Running) -> None:
    """Waits until `dvc repro` runs a stage."""
    until = time.monotonic() + 60
    while not any(f"stages.{stage}\0" in command_of(pid) for pid in children(running)):
        assert running.process.poll() is None, running.process.communicate()
        assert time.monotonic() < until, "not started in time"
        time.sleep(0.05)


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:  # ended meanwhile
        return ""


def children(running: Running) -> list[int]:
    """The processes that it has started, and that those have."""
    found, waiting = [], [running.process.pid]
    while waiting:
        pid = waiting.pop()
        with contextlib.suppress(OSError):  # ended meanwhile
            for task in Path(f"/proc/{pid}/task").glob("*/children"):
                pids = [int(word) for word in task.read_text().split()]
                found += pids
                waiting += pids
    return found


@pytest.mark.slow
def test_a_second_repro_in_the_same_folder_is_refused_and_the_first_goes_on(
    flow: Flow, expected: dict[str, Any]
) -> None:
    flow.forget("preprocess")
    first = flow.start("dvc", "repro")
    began_s = time.monotonic()
    started("preprocess", first)
    second = flow.repro()
    assert second.status != 0
    assert "Traceback" not in second.said
    done = ended(first, began_s)
    assert done.status == 0, done.said
    assert flow.outcome() == expected
    note(Seen("processes", "two `make repro` at once in one folder", second.line, "the first goes on", second.wall_s))


@pytest.mark.slow
def test_a_machine_that_sleeps_goes_on_afterwards(flow: Flow, expected: dict[str, Any]) -> None:
    flow.forget("preprocess", "train")
    running = flow.start("dvc", "repro", "train")
    began_s = time.monotonic()
    for _ in range(2):
        time.sleep(moment_s(flow, "sleep", ["preprocess"]))
        os.killpg(running.process.pid, signal.SIGSTOP)
        time.sleep(SUSPENDED_S)
        os.killpg(running.process.pid, signal.SIGCONT)
    done = ended(running, began_s)
    assert done.status == 0, done.said
    assert flow.outcome() == expected
    note(Seen("processes", "the machine sleeps while it runs (SIGSTOP, SIGCONT)", "", "all"))


@pytest.mark.slow
def test_a_killed_worker_of_the_beam_job_ends_it_in_a_line(flow: Flow, expected: dict[str, Any]) -> None:
    flow.forget("preprocess")
    running = flow.start_stage("preprocess", BEAM_WORKERS="2")
    began_s = time.monotonic()
    until = began_s + 60
    while not (workers := children(running)) or not list((flow.data / "work").rglob("*.parquet.json")):
        assert running.process.poll() is None and time.monotonic() < until, running.process.communicate()
        time.sleep(0.01)
    os.kill(workers[-1], signal.SIGKILL)
    done = ended(running, began_s)
    assert done.status == 1
    assert done.line.startswith("error: a Beam worker died")
    assert "Traceback" not in done.said
    assert running.left_behind() == []
    again = flow.repro()
    assert again.status == 0, again.said
    assert flow.outcome() == expected
    note(Seen("processes", "a worker of the Beam job is killed", done.line, "the finished shards", done.wall_s))


@pytest.mark.slow
def test_a_killed_rank_of_a_training_ends_it_in_a_line(flow: Flow) -> None:
    """The mathematics of two processes are those of one; the bits are not promised."""
    curve = flow.outcome()["run.json"]["curve"]
    flow.forget("train")
    running = flow.start_stage("train", TRAIN_PROCESSES="2", **EACH_STEP)
    began_s = time.monotonic()
    while not list(flow.data.glob("training/*/checkpoint-2/complete.json")):
        assert running.process.poll() is None, running.process.communicate()
        time.sleep(0.01)
    ranks = [pid for pid in children(running) if b"RANK=1\0" in Path(f"/proc/{pid}/environ").read_bytes()]
    os.kill(ranks[0], signal.SIGKILL)
    done = ended(running, began_s)
    assert done.status == 128 + signal.SIGKILL
    assert done.line.startswith("error: process 2 of 2 was killed, probably by the kernel for want of memory")
    assert "Traceback" not in done.said
    assert running.left_behind() == []
    again = flow.repro("train", TRAIN_PROCESSES="2")
    assert again.status == 0, again.said
    assert losses(flow.outcome()["run.json"]["curve"]) == pytest.approx(losses(curve), rel=1e-3)
    what = "a rank of a training in two processes is killed"
    mended = "what a process had said last was lost where torchrun's SIGTERM met it as it left"
    note(Seen("processes", what, done.line, "the last checkpoint", done.wall_s, mended))


def losses(curve: list[dict[str, float]]) -> list[float]:
    return [point["train_loss"] for point in curve if "train_loss" in point]


FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"


@pytest.mark.slow
def test_a_clock_that_is_set_back_changes_nothing(flow: Flow, expected: dict[str, Any], tmp_path: Path) -> None:
    library = faketime()
    clock = tmp_path / "clock"
    clock.write_text("+0")
    flow.forget("preprocess", "train")
    began_s = time.monotonic()
    running = flow.start(
        *("dvc", "repro", "train"),
        LD_PRELOAD=library,
        FAKETIME_TIMESTAMP_FILE=str(clock),
        FAKETIME_NO_CACHE="1",
        FAKETIME_DONT_FAKE_MONOTONIC="1",
        **EACH_STEP,
    )
    while not list(flow.data.glob("training/*/checkpoint-2/complete.json")):
        assert running.process.poll() is None, running.process.communicate()
        time.sleep(0.01)
    clock.write_text("-2d")
    done = ended(running, began_s)
    assert done.status == 0, done.said
    assert flow.outcome() == expected
    again = flow.repro("train")
    assert re.findall(r"^Running stage '(\w+)'", again.said, re.MULTILINE) == ["listing"]
    note(Seen("processes", "the clock is set back by two days during a training", "", "all"))


def faketime() -> str:
    """The path of libfaketime; root installs Debian's package once, anyone else skips the test."""
    apt = shutil.which("apt-get")
    if not Path(FAKETIME).exists() and os.geteuid() == 0 and apt:
        subprocess.run([apt, "install", "-qq", "-y", "faketime"], capture_output=True, timeout=300, check=False)
    if not Path(FAKETIME).exists():
        pytest.skip("NO CLOCK CAN BE SET BACK, so it stays untested: apt-get install faketime")
    return FAKETIME
