"""Recordings that are damaged by chance, and small ones that would unpack to hours: bounded in time and in memory."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.builders import speech_like
from tests.faults.flow import ROOT
from tests.faults.table import Seen, note
from tests.recorded import wav_header

GROWTH_MB = 40  # of a process that has read thousands of damaged files: what allocators keep
UNPACKED_MB = 100  # that a recording may take over one of a second
RATE_HZ = 16_000
HOURS = 1
# One recording through what a worker of the job does with it; prints what became of it and its peak memory.
ONE = """
import json, sys
from asr import params
from asr.clips.examples import examples
from asr.utterances import Rejected, Utterance
from tests.faults.memory import peak_mb
(found,) = examples([Utterance("one", sys.argv[1], "Text.", "en")], params.Audio(), params.Text(), None)
assert isinstance(found, Rejected), found
print(json.dumps([found.reason, found.detail, peak_mb()]))
"""


def python(*words: str) -> str:
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.parametrize("n_files", [300, pytest.param(4000, marks=pytest.mark.slow)])
def test_damaged_recordings_are_decoded_or_rejected_and_harm_no_worker(n_files: int) -> None:
    found = json.loads(python("-m", "tests.faults.audio_fuzz", "--files", str(n_files), "--seed", str(n_files)))
    assert sum(found["counts"].values()) == n_files
    assert 0 < found["counts"]["decoded"] < n_files
    assert found["growth_mb"] < GROWTH_MB
    assert found["largest_mb"] < UNPACKED_MB
    assert found["slowest_s"] < 5
    if n_files > 1000:
        sees = ", ".join(f"{count} {reason}" for reason, count in found["counts"].items())
        what = f"{n_files} recordings of {found['formats']} formats, damaged by chance"
        note(Seen("input", what, sees, "every file is decoded, or among the rejects"))


@pytest.fixture(scope="module")
def usual_mb(tmp_path_factory: pytest.TempPathFactory) -> float:
    """The memory that a worker takes for a recording of no sound."""
    path = tmp_path_factory.mktemp("usual") / "silent.wav"
    soundfile.write(path, np.zeros(RATE_HZ), RATE_HZ)
    peak_mb: float = json.loads(python("-c", ONE, str(path)))[2]
    return peak_mb


def silence(path: Path, **options: str) -> None:
    """Hours of it, in a file that is a thousandth of what it unpacks to, or less."""
    with soundfile.SoundFile(path, "w", RATE_HZ, 1, **options) as file:
        minute = np.zeros(60 * RATE_HZ, np.float32)
        for _ in range(60 * HOURS):
            file.write(minute)


def lying(path: Path) -> None:
    """A header that promises 1 GB before one second of sound."""
    samples = np.rint(speech_like(1.0) * 32767).astype("<i2").tobytes()
    path.write_bytes(wav_header(2**30) + samples)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("bomb.flac", {}),
        ("bomb.ogg", {"format": "OGG", "subtype": "VORBIS"}),
        ("bomb.mp3", {"format": "MP3"}),
        ("lying.wav", None),
    ],
)
def test_a_small_file_that_unpacks_to_hours_takes_no_memory(
    usual_mb: float, tmp_path: Path, name: str, options: dict[str, str] | None
) -> None:
    path = tmp_path / name
    if options is None:
        lying(path)
        what = "a WAV whose header promises 1 GB before a second of sound"
    else:
        silence(path, **options)
        size_kb = path.stat().st_size / 1000
        what = f"{path.suffix[1:].upper()} of {size_kb:.0f} kB that unpacks to {HOURS} hour"
    reason, detail, peak_mb = json.loads(python("-c", ONE, str(path)))
    assert reason in ("too long", "cut short"), (reason, detail)
    assert peak_mb < usual_mb + UNPACKED_MB
    note(Seen("security", what, f"{reason}: {detail}", "all else; the row is among the rejects"))
