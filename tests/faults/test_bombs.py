"""Small files that unpack to gigabytes, or say so: refused in a line, before memory is taken for them."""

import gzip
import json
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile

from asr.utterances import Block
from tests.builders import speech_like
from tests.faults.table import Seen, note
from tests.faults.test_audio import RATE_HZ, python
from tests.recorded import encode, pcm, wav_header

MOST_MB = 100
CELL_BYTES = 2**28
# What a worker of the job does with a recording; prints what became of it, and the memory that it took.
ONE = """
import json, sys
import av, soundfile
from asr import params
from asr.clips.examples import examples
from asr.utterances import Rejected, Utterance
from tests.faults.memory import peak_mb
row = int(sys.argv[2]) if sys.argv[2:] else None
before_mb = peak_mb(forget=True)
(found,) = examples([Utterance("one", sys.argv[1], "Text.", "en", row=row)], params.Audio(), params.Text(), None)
assert isinstance(found, Rejected), found
print(json.dumps([found.reason, found.detail, peak_mb() - before_mb]))
"""
# What prepare does with the lines of a corpus.
LINES = """
import json, sys
from pathlib import Path
from asr.sources import files
from tests.faults.memory import peak_mb
before_mb = peak_mb(forget=True)
try:
    list(files.objects(Path(sys.argv[1])))
except ValueError as error:
    print(json.dumps([type(error).__name__, str(error), peak_mb() - before_mb]))
"""


def opus(path: Path) -> None:
    soundfile.write(path, np.zeros(600 * RATE_HZ, np.float32), RATE_HZ, format="OGG", subtype="OPUS")


def alac(path: Path) -> None:
    encode(path, "alac", np.zeros(3600 * 4_000, np.float32), 4_000)


def tag(path: Path) -> None:
    """A WAV of a codec that is FFmpeg's, with a title of 2 GB that is not there."""
    header = wav_header(32_000)
    title = b"LIST" + struct.pack("<I", 0x7FFF_FFF0) + b"INFOINAM" + struct.pack("<I", 0x7FFF_FF00)
    path.write_bytes(header[:36] + title + header[36:] + pcm(speech_like(1.0)))


def table(path: Path) -> None:
    """An MP4 whose table of times says that it has 268 million entries."""
    content = bytearray(encode(path, "aac", speech_like(1.0), RATE_HZ).read_bytes())
    at = content.index(b"stts") + 8
    content[at : at + 4] = struct.pack(">I", 0x0FFF_FFFF)
    path.write_bytes(content)


def cell(path: Path) -> None:
    content = [None, pa.py_buffer(struct.pack("<ii", 0, CELL_BYTES)), pa.py_buffer(bytes(CELL_BYTES))]
    column = pa.Array.from_buffers(pa.binary(), 1, content)
    pq.write_table(pa.table({"audio": column}), path, compression="zstd", use_dictionary=False)


def dictionary(path: Path) -> None:
    """64 cells that are all the same one of 128 MB."""
    column = pa.DictionaryArray.from_arrays(pa.array([0] * 64, pa.int32()), pa.array([bytes(CELL_BYTES // 2)]))
    pq.write_table(pa.table({"audio": column}), path, compression="zstd", store_schema=False, write_statistics=False)


BOMBS: dict[str, tuple[str, Callable[[Path], None], str, str]] = {
    "bomb.opus": ("an Opus that unpacks to ten minutes", opus, "too long", ""),
    "bomb.m4a": ("an M4A that unpacks to an hour", alac, "too long", ""),
    "tag.wav": (
        "a WAV with a title of 2 GB that is not there",
        tag,
        "undecodable audio",
        "FFmpeg took 2 GB; now it is bounded",
    ),
    "table.m4a": ("an M4A whose table has 268 million entries", table, "undecodable audio", ""),
    "cell.parquet": (
        "a Parquet cell that unpacks to 256 MB",
        cell,
        "undecodable audio",
        "it was unpacked; now it is not",
    ),
    "dictionary.parquet": (
        "a Parquet dictionary that repeats a cell of 128 MB",
        dictionary,
        "undecodable audio",
        "16 were unpacked at once; now none is",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", BOMBS)
def test_a_recording_that_says_or_unpacks_to_too_much_takes_no_memory(tmp_path: Path, name: str) -> None:
    what, make, reason, mended = BOMBS[name]
    path = tmp_path / name
    make(path)
    words = [str(Block(str(path), 0, "audio")), "0"] if path.suffix == ".parquet" else [str(path)]
    found, detail, taken_mb = json.loads(python("-c", ONE, *words))
    assert found == reason, detail
    assert detail
    assert taken_mb < MOST_MB
    size_kb = path.stat().st_size / 1000
    sees = f"{found}: {detail}"
    note(Seen("security", f"{what} ({size_kb:.0f} kB)", sees, "all else; the row is among the rejects", mended=mended))


@pytest.mark.slow
def test_a_line_that_unpacks_to_too_much_is_refused_in_a_line(tmp_path: Path) -> None:
    path = tmp_path / "cuts.jsonl.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(256):
            file.write(b"a" * 2**20)
    kind, line, taken_mb = json.loads(python("-c", LINES, str(path)))
    assert kind == "UserError" and line.startswith(f"{path}, line 1: over ")
    assert taken_mb < MOST_MB
    note(
        Seen(
            "security", "a .gz with a line of 256 MB", line, "all", mended="the line was read whole, at twice its size"
        )
    )


@pytest.mark.slow
def test_cells_that_shrink_as_sound_does_are_read(tmp_path: Path) -> None:
    """The bound is on what no sound is: noise of the same size is not refused."""
    path = tmp_path / "sound.wav"
    soundfile.write(path, np.random.default_rng(0).uniform(-0.5, 0.5, 1500 * RATE_HZ), RATE_HZ)  # 48 MB
    column = pa.array([path.read_bytes()] * 2, pa.binary())
    pq.write_table(pa.table({"audio": column}), tmp_path / "long.parquet", compression="zstd", use_dictionary=False)
    words = [str(Block(str(tmp_path / "long.parquet"), 0, "audio")), "1"]
    found, _, _ = json.loads(python("-c", ONE, *words))
    assert found == "too long"
