"""Many clips, many steps and an end by force leave no more memory taken, and nothing open or lying about."""

import csv
import gc
import json
import os
import re
import signal
import time
from pathlib import Path

import pytest
import soundfile
import yaml

from asr.params import Model, Params, Train
from asr.train.attempt import Attempt
from asr.train.training import train
from tests.builders import speech_like, unequal_clips, write_features
from tests.faults.flow import ROOT, Flow, ended
from tests.faults.table import Seen, note
from tests.running import WAIT_S, Running

FORMATS = ("wav", "flac", "ogg", "mp3")
N_DISTINCT = 40
SPLITS = {0: "test", 1: "validation"}  # of a hundred rows; the others are for training
FEW, MANY = 500, 2_000
MOST_GROWN = 1.3
SHARD_MB = 1


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """Where the stages put what is to be gone afterwards."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    return folder


def flow_of(folder: Path, base: Path, n_clips: int) -> Flow:
    """A project whose table has so many short clips, in four formats."""
    (folder / "data").mkdir(parents=True)
    for name in ("asr", "stages", "pipelines"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "data/base").symlink_to(base)
    clips = [f"{number}.{FORMATS[number % len(FORMATS)]}" for number in range(N_DISTINCT)]
    for number, name in enumerate(clips):
        soundfile.write(folder / name, speech_like(0.3 + 0.7 * number / N_DISTINCT, seed=number), 16_000)
    with (folder / "clips.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["audio", "text", "split"])
        for row in range(n_clips):
            writer.writerow([clips[row % N_DISTINCT], f"Clip {row}.", SPLITS.get(row % 100, "train")])
    choices = {"data": {"source": "table", "table": {"path": "clips.csv"}}, "features": {"shard_mb": SHARD_MB}}
    (folder / "params.yaml").write_text(yaml.safe_dump(choices))
    return Flow(folder)


def peak_mb(running: Running) -> float:
    """Waits for the end of a process; the most that it held."""
    peak_kib = 0
    while running.process.poll() is None:
        if found := re.search(r"VmHWM:\s*(\d+) kB", Path(f"/proc/{running.process.pid}/status").read_text()):
            peak_kib = max(peak_kib, int(found[1]))
        time.sleep(0.05)
    return peak_kib / 1024


@pytest.mark.slow
def test_four_times_as_many_clips_take_no_more_memory_and_leave_nothing(
    scratch: Path, tmp_path: Path, temporary: Path
) -> None:
    peaks_mb = []
    for n_clips in (FEW, MANY):
        flow = flow_of(tmp_path / str(n_clips), scratch, n_clips)
        for stage in ("listing", "prepare"):
            assert flow.run_stage(stage, TMPDIR=str(temporary)).status == 0
        began_s = time.monotonic()
        running = flow.start_stage("preprocess", TMPDIR=str(temporary), BEAM_WORKERS="1")
        peaks_mb.append(peak_mb(running))
        done = ended(running, began_s)
        assert done.status == 0, done.said
        assert running.left_behind() == []
        assert list(temporary.iterdir()) == []
        assert not (flow.data / "work").exists()
    assert peaks_mb[1] < MOST_GROWN * peaks_mb[0]
    (line,) = [line for line in done.said.splitlines() if "of speech in" in line]
    grown = f"the peak of memory grows by {100 * (peaks_mb[1] / peaks_mb[0] - 1):.0f} %"
    note(Seen("load", "a corpus of four times as many clips", line, f"all of them; {grown}"))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGKILL"])
def test_a_job_that_is_ended_by_force_leaves_no_process_and_no_file_elsewhere(
    name: str, scratch: Path, tmp_path: Path, temporary: Path
) -> None:
    flow = flow_of(tmp_path / "project", scratch, MANY)
    for stage in ("listing", "prepare"):
        assert flow.run_stage(stage).status == 0
    began_s = time.monotonic()
    running = flow.start_stage("preprocess", TMPDIR=str(temporary), BEAM_WORKERS="2")
    until_s = began_s + WAIT_S
    while not list((flow.data / "work").rglob("*.parquet.json")):
        assert running.process.poll() is None, running.process.communicate()
        assert time.monotonic() < until_s, "no shard in time"
        time.sleep(0.01)
    os.kill(running.process.pid, signal.Signals[name])
    done = ended(running, began_s)
    assert done.status == (128 + signal.SIGINT if name == "SIGINT" else -signal.Signals[name])
    assert "Traceback" not in done.said
    assert running.left_behind() == []
    assert list(temporary.iterdir()) == []
    kept = len(list((flow.data / "work").rglob("*.parquet.json")))
    note(
        Seen(
            "load",
            f"{name} in a job of two workers, with a folder for temporary files of its own",
            done.line if name == "SIGINT" else "",
            f"{kept} finished shards, no process, and no temporary file",
            mended="Beam left an empty folder there",
        )
    )


@pytest.mark.slow
def test_a_training_of_many_steps_keeps_no_history_and_no_file_open(
    scratch: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    rows = unequal_clips(8)
    write_features(tmp_path / "features", {"train": rows, "validation": rows[:2]}, rows_per_shard=4)
    choices = {"batch_size": 4, "eval_steps": 10, "eval_wer": 1, "warmup_steps": 0, "precision": "float32"}

    def trained(max_steps: int) -> int:
        """How many handles are open afterwards."""
        params = Params(model=Model(window_s=1), train=Train(max_steps=max_steps, **choices))
        attempt = Attempt(tmp_path / f"attempt-{max_steps}")
        train(
            scratch,
            tmp_path / "features",
            tmp_path / f"model-{max_steps}",
            params,
            lambda metrics, step: None,
            attempt,
            save_every_s=0,
        )
        assert attempt.checkpoint
        assert json.loads((attempt.checkpoint / "trainer_state.json").read_text())["log_history"] == []
        gc.collect()  # Trainer and its callbacks hold each other
        return len(os.listdir("/proc/self/fd"))

    n_handles = trained(3)
    assert trained(9) == n_handles
    (line,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("step 9/9  loss")]
    note(
        Seen(
            "load",
            "a training of very many steps",
            line,
            "as much memory and as many open files as at its start",
            mended="a history of all steps grew in memory, and was written into each checkpoint",
        )
    )
