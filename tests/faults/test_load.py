"""More clips through listing, prepare and preprocess: no process holds more for them, and nothing is left."""

import contextlib
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import soundfile

from asr.corpora import manifest
from asr.features import RATE_HZ
from asr.shards import read_index
from tests.builders import speech_like
from tests.faults.flow import ROOT, Done, Flow, ended
from tests.faults.table import Seen, note
from tests.running import Running

N_DISTINCT, FEW, MANY = 20, 300, 1_000
MOST_GROWTH = 1.3  # of memory, from `FEW` to `MANY`, which are 3.3 times as many
SPARE_HANDLES = 8  # of one process; what it happens to have open when it is looked at
SHARD_MB = 0.5
SAMPLE_EVERY_S = 0.1
# Two workers, whatever the machine: what does not end, or is passed on, are theirs.
TWO_WORKERS = {"BEAM_WORKERS": "2"}


@dataclass(frozen=True)
class Held:
    """How a stage ended, and the most that a process of it held on its way."""

    done: Done
    peak_mb: float
    handles: int
    processes: int


def corpus(folder: Path, n_clips: int) -> Path:
    """A table of clips of 0.3 to 1.25 s, each a file of its own name that takes no room of its own."""
    distinct = [folder / f"distinct-{number}.wav" for number in range(N_DISTINCT)]
    folder.mkdir()
    for number, path in enumerate(distinct):
        soundfile.write(path, speech_like(0.3 + number / N_DISTINCT, seed=number), RATE_HZ)
    rows = ["audio,text"]
    for number in range(n_clips):
        name = f"{number:04d}.wav"
        os.link(distinct[number % N_DISTINCT], folder / name)
        rows.append(f"{name},This is sentence number {number}.")
    table = folder / "clips.csv"
    table.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return table


def held_by(running: Running) -> Held:
    """Looks at it and all that it starts until it ends."""
    started_s = time.monotonic()
    peaks_kb: dict[int, int] = {}
    handles: dict[int, int] = {}
    # What it says is a few lines, which a pipe holds until it is read.
    while running.process.poll() is None:
        for pid in family(running.process.pid):
            with contextlib.suppress(OSError, TypeError):  # ended meanwhile
                status = Path(f"/proc/{pid}/status").read_text()
                peak_kb = int(re.search(r"VmHWM:\s*(\d+)", status)[1])  # type: ignore[index]
                peaks_kb[pid] = max(peaks_kb.get(pid, 0), peak_kb)
                handles[pid] = max(handles.get(pid, 0), len(os.listdir(f"/proc/{pid}/fd")))
        time.sleep(SAMPLE_EVERY_S)
    done = ended(running, started_s)
    return Held(done, max(peaks_kb.values()) * 1024 / 1e6, max(handles.values()), len(peaks_kb))


def family(pid: int) -> Iterator[int]:
    """A process and its descendants, as far as they are still there."""
    yield pid
    with contextlib.suppress(OSError):
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            for child in children.read_text().split():
                yield from family(int(child))


def project(folder: Path, base: Path) -> Flow:
    """What these stages need: the code, the params, and what fetch leaves."""
    (folder / "data").mkdir(parents=True)
    for name in ("asr", "stages", "pipelines"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    (folder / "data/base").symlink_to(base)
    return Flow(folder)


def run(flow: Flow, stage: str, temporary: Path) -> Held:
    """A stage to its end, of which nothing but its outputs is left."""
    temporary.mkdir(exist_ok=True)
    running = flow.start_stage(stage, TMPDIR=str(temporary), **TWO_WORKERS)
    held = held_by(running)
    assert held.done.status == 0, held.done.said
    assert "warning: " not in held.done.said and "Traceback" not in held.done.said, held.done.said
    assert running.left_behind() == []
    assert list(temporary.rglob("*")) == []
    return held


@pytest.mark.slow
def test_three_times_as_many_clips_take_no_more_memory_or_handles_and_nothing_is_left(
    scratch: Path, tmp_path: Path
) -> None:
    flow = project(tmp_path / "project", scratch)
    held: dict[tuple[str, int], Held] = {}
    for n_clips in (FEW, MANY):
        table = corpus(tmp_path / f"corpus-{n_clips}", n_clips)
        flow.choose(
            {
                "data": {"source": "table", "language": "en", "table": {"path": str(table)}},
                "features": {"shard_mb": SHARD_MB},
            }
        )
        for stage in ("listing", "prepare", "preprocess"):
            held[stage, n_clips] = run(flow, stage, tmp_path / "temporary")
        assert sum(1 for _ in manifest.read(flow.data / "manifest")) == n_clips
        index = read_index(flow.data / "features")
        assert sum(entry.rows for entries in index.splits.values() for entry in entries) == n_clips
        assert not list((flow.data / "work").glob("**/*.parquet"))
    assert held["preprocess", MANY].processes > 1
    for stage in ("prepare", "preprocess"):
        few, many = held[stage, FEW], held[stage, MANY]
        assert many.peak_mb <= MOST_GROWTH * few.peak_mb
        assert many.handles <= few.handles + SPARE_HANDLES
        keeps = (
            f"every clip; no process or temporary file left; peak of {many.peak_mb:,.0f} MB, and "
            f"{few.peak_mb:,.0f} MB with {FEW} clips"
        )
        note(Seen("load", f"{MANY:,} clips through {stage}", many.done.said.splitlines()[-1], keeps))
