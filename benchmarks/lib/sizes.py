"""Files and the features of their clips -> how many bytes the same speech takes in other forms."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from asr.features import MAX_FRAMES, RATE_HZ
from asr.shards import read_columns, read_index
from asr.utterances import Utterance


@dataclass(frozen=True)
class Speech:
    """The clips that are in the shards: how long they are, and their size in bytes as others keep them."""

    n_clips: int
    duration_s: float
    source_bytes: int  # as they came
    flac_bytes: int  # 16 bits, 16 kHz, mono
    pcm_bytes: int  # the same, not compressed
    padded_bytes: int  # as the notebook's input_features: float32, 30 s


def speech_of(clips: Sequence[Utterance], features: Path) -> Speech:
    """Of the clips that are in `features`, each of which is a whole file."""
    index = read_index(features)
    durations_s = [
        duration_s
        for split in index.splits
        for duration_s in read_columns(features, split, ["duration_s"])["duration_s"].to_pylist()
    ]
    ids = {name for split in index.splits for name in read_columns(features, split, ["id"])["id"].to_pylist()}
    used = [clip for clip in clips if clip.id in ids]
    return Speech(
        len(used),
        sum(durations_s),
        sum(Path(clip.audio).stat().st_size for clip in used),
        sum(_flac_bytes(clip.audio) for clip in used),
        round(sum(durations_s) * RATE_HZ) * np.dtype(np.int16).itemsize,
        len(used) * index.n_mels * MAX_FRAMES * np.dtype(np.float32).itemsize,
    )


def rows_bytes(path: Path) -> int:
    """Of a file, or of the Parquet and Arrow files in a folder: without what is drawn or told of them."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.suffix in (".parquet", ".arrow")]
    return sum(file.stat().st_size for file in files)


def _flac_bytes(path: str) -> int:
    samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    mono = soxr.resample(samples.mean(axis=1), rate_hz, RATE_HZ)
    file = io.BytesIO()
    soundfile.write(file, mono, RATE_HZ, format="FLAC", subtype="PCM_16")
    return len(file.getvalue())
