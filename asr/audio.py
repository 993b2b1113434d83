"""A piece of an audio file -> mono float32 samples at 16 kHz, or the reason why not."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from asr.features import RATE_HZ
from asr.params import Audio
from asr.utterances import Seconds

FULL_SCALE = 1.0
CLIPPED = 0.999 * FULL_SCALE


class BadAudio(Exception):
    """Audio that can't be used: `reason` is one of a few phrases that can be counted, `detail` is about this clip."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


@dataclass(frozen=True)
class Clip:
    """Decoded speech, `(n_samples,)` float32 at 16 kHz, and measures of it."""

    samples: NDArray[np.float32]
    peak: float  # of full scale
    rms: float  # of full scale
    clipped_share: float  # of samples
    digest: str  # of the samples at 16 bits: equal audio, whatever its file

    @property
    def duration_s(self) -> Seconds:
        return len(self.samples) / RATE_HZ


@contextmanager
def recording(path: str) -> Iterator[soundfile.SoundFile]:
    """An opened recording, to read pieces from. Raises `BadAudio`."""
    try:
        size_bytes = Path(path).stat().st_size
    except OSError as error:
        raise BadAudio("missing audio", f"{path}: {error.strerror}") from None
    if size_bytes == 0:
        raise BadAudio("empty audio", f"{path} has no bytes")
    try:
        file = soundfile.SoundFile(path)
    except (soundfile.SoundFileError, OSError) as error:
        raise BadAudio("undecodable audio", _one_line(error)) from None
    with file:
        yield file


def read_clip(file: soundfile.SoundFile, start_s: Seconds, duration_s: Seconds | None, rules: Audio) -> Clip:
    """The piece from `start_s`, of `duration_s` (None: to the end), mixed to mono and resampled by soxr HQ.

    Raises `BadAudio` where it cannot be decoded or `rules` refuse it. Length is looked at before anything is decoded.
    """
    rate_hz = file.samplerate
    start = round(start_s * rate_hz)
    length = file.frames - start if duration_s is None else round(duration_s * rate_hz)
    if file.frames == 0 or length <= 0 or start >= file.frames:
        raise BadAudio("empty audio", f"nothing from {start_s:g} s of a recording of {file.frames / rate_hz:g} s")
    if length > rules.max_s * rate_hz:
        raise BadAudio("too long", f"{length / rate_hz:.2f} s is over audio.max_s ({rules.max_s:g})")
    try:
        file.seek(start)
        samples = file.read(length, dtype="float32", always_2d=True).mean(axis=1)
    except (soundfile.SoundFileError, OSError) as error:
        raise BadAudio("undecodable audio", _one_line(error)) from None
    return checked(soxr.resample(samples, rate_hz, RATE_HZ) if rate_hz != RATE_HZ else samples, rules)


def checked(samples: NDArray[np.float32], rules: Audio) -> Clip:
    """Samples at 16 kHz as a `Clip`, or `BadAudio` where `rules` refuse them."""
    duration_s = len(samples) / RATE_HZ
    if len(samples) == 0:
        raise BadAudio("empty audio", "no samples could be decoded")
    if not np.isfinite(samples).all():
        raise BadAudio("not a number", "samples that are infinite or not a number")
    if duration_s < rules.min_s:
        raise BadAudio("too short", f"{duration_s:.3f} s is under audio.min_s ({rules.min_s:g})")
    magnitude = np.abs(samples)
    peak = float(magnitude.max())
    if peak <= FULL_SCALE * 10 ** (rules.silence_dbfs / 20):
        raise BadAudio("silent", f"the loudest sample is {peak:.2g} of full scale; see audio.silence_dbfs")
    rms = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
    return Clip(samples, peak, rms, float(np.mean(magnitude >= CLIPPED)), _digest(samples))


def _digest(samples: NDArray[np.float32]) -> str:
    levels = np.rint(samples.clip(-FULL_SCALE, FULL_SCALE) * 32767).astype("<i2")
    return hashlib.blake2b(levels.tobytes(), digest_size=16).hexdigest()


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
