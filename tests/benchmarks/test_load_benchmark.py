"""What is watched is all that a command holds and leaves, and a growth is that of the line through its minutes."""

import csv
import importlib
import sys
from types import ModuleType

import pytest
import soundfile

from tests.benchmarks.test_benchmarks import BENCHMARKS

# Leaves a file in the folder for temporary ones, and a process that outlives it.
LEAVING = """
import subprocess, sys, tempfile, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3)"], start_new_session=True)
open(tempfile.gettempdir() + "/left", "w").close()
held = bytearray(100_000_000)
open("kept", "wb").write(held)
time.sleep(0.5)
"""


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch):
    """Imports a module from the benchmarks' folder."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module


def test_all_that_a_command_holds_and_leaves_is_seen(benchmark, tmp_path) -> None:
    watching: ModuleType = benchmark("lib.watching")
    seen = watching.watched([sys.executable, "-c", LEAVING], tmp_path, {}, every_s=0.1)
    assert seen.status == 0
    assert 100 < seen.peak_mb < 250
    assert seen.most_processes == 2
    assert max(sample.disk_mb for sample in seen.samples) >= 100
    assert seen.left_files == ["left"]
    assert [words for words in seen.left_processes if "time.sleep(3)" in words]


def test_a_command_is_stopped_when_it_is_told(benchmark, tmp_path) -> None:
    watching: ModuleType = benchmark("lib.watching")
    words = "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(143)); time.sleep(60)"
    seen = watching.watched([sys.executable, "-c", words], tmp_path, {}, every_s=0.1, stop_after_s=0.5)
    assert seen.status == 143 and seen.left_processes == []


def test_growth_is_the_slope_of_the_whole_minutes_after_the_warm_up(benchmark) -> None:
    soak, watching = benchmark("soak"), benchmark("lib.watching")
    samples = [
        watching.Sample(at_s, 500 + 60 * at_s / 3600 if at_s >= 300 else 9_000, 1, 1, 0.0) for at_s in range(0, 1230, 2)
    ]
    grown = soak.growth(samples)
    assert grown.mb_an_hour == pytest.approx(60)
    assert grown.error == pytest.approx(0, abs=1e-6)


def test_mixed_clips_are_files_and_pieces_of_recordings_that_are_there(benchmark, tmp_path) -> None:
    mixed = benchmark("lib.mixed")
    corpus = mixed.mixed_clips(tmp_path, 300)
    with corpus.table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len({row["id"] for row in rows}) == len({row["text"] for row in rows}) == 300
    assert [sum(row["split"] == split for row in rows) for split in ("test", "validation")] == [100, 100]
    assert sum(row["start_s"] != "" for row in rows) == 150
    for row in rows[::10]:
        info = soundfile.info(tmp_path / row["audio"])
        assert info.duration >= float(row["end_s"] or 0.3) - 1e-6
