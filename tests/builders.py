"""What tests are built from: sound, features, a corpus and a checkpoint, all generated."""

from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from asr.features import RATE_HZ, log_mel
from asr.selection import files
from asr.shards import Index, ShardWriter, read_columns, read_index, write_index

if TYPE_CHECKING:
    from asr.train.attempt import Attempt


def speech_like(duration_s: float, seed: int = 0, rate_hz: int = RATE_HZ) -> NDArray[np.float32]:
    """Samples with the rough shape of speech: a buzz with formants and pauses. `(n_samples,)`."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(duration_s * rate_hz)) / rate_hz
    pitch_hz = rng.uniform(90, 220)
    buzz = sum(np.sin(2 * np.pi * pitch_hz * k * t) / k for k in range(1, 20))
    syllables = 0.5 + 0.5 * np.sin(2 * np.pi * rng.uniform(2, 5) * t + rng.uniform(0, 6))
    return (0.1 * buzz * syllables + 0.002 * rng.standard_normal(len(t))).astype(np.float32)


def example(name: str, duration_s: float = 1.0, labels: list[int] | None = None, **columns: Any) -> dict[str, Any]:
    """A row for `write_features`, with features of generated sound."""
    samples = speech_like(duration_s, seed=sum(name.encode()))
    row = {
        "id": name,
        "log_mel": log_mel(samples),
        "labels": labels or [50258, 50259, 50359, 50363, 400, 50257],
        "text": "A text.",
        "trained_text": "A text.",
        "language": "en",
        "duration_s": duration_s,
        "timed": False,
        "speaker": None,
        "source": None,
        "peak": 0.5,
        "rms": 0.1,
        "clipped_share": 0.0,
        "head_rms": 0.01,
        "tail_rms": 0.01,
        "digest": name,
    }
    return row | columns


def unequal_clips(n_clips: int) -> list[dict[str, Any]]:
    """Rows for `write_features`, of 0.2 to 0.6 s and of 6 and more labels, no two with as many."""
    prefix, end = [50258, 50259, 50359, 50363], 50257
    return [example(f"clip-{n:02d}", 0.2 + 0.1 * (n % 5), [*prefix, *range(400, 401 + n), end]) for n in range(n_clips)]


def write_features(
    folder: Path, splits: dict[str, list[dict[str, Any]]], codec: str = "float16", rows_per_shard: int = 100
) -> Index:
    """Shards and index as preprocess leaves them."""
    entries: dict[str, list[Any]] = {}
    for split, rows in splits.items():
        entries[split] = []
        for number, first in enumerate(range(0, len(rows), rows_per_shard)):
            with ShardWriter(folder, f"{split}/{number:05d}.parquet", 80, codec) as shard:
                for row in rows[first : first + rows_per_shard]:
                    shard.write(row)
            entries[split].append(shard.entry)
    index = Index(fingerprint="0" * 16, n_mels=80, codec=codec, splits=entries)
    write_index(folder, index)
    return index


def write_selection(folder: Path, features: Path, weights: list[float] | None = None) -> None:
    """A selection as its stage leaves it, of all train rows, or with these weights."""
    ids = read_columns(features, "train", ["id"])["id"].to_pylist()
    files.write(folder, ids, np.array(weights or [1.0] * len(ids)), [], read_index(features))


def decoded(path: str | Path | IO[bytes]) -> NDArray[np.float32]:
    """Mono samples of an audio file at 16 kHz, as any user would read them: soundfile, then soxr HQ."""
    samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    return soxr.resample(samples.mean(axis=1), rate_hz, RATE_HZ)


def begin_checkpoint(attempt: "Attempt", step: int) -> Path:
    """What Trainer has written of a checkpoint by the time that it is killed."""
    folder = attempt.folder / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    (folder / "trainer_state.json").write_text("{}")
    return folder
