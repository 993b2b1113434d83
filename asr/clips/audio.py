"""A piece of a recording -> mono float32 samples at 16 kHz and measures of them, or the reason why not."""

import hashlib
import math
from dataclasses import dataclass

import numpy as np
import soxr
from numpy.typing import NDArray

from asr.clips.augment import augmented
from asr.clips.recordings import BadAudio, Recording
from asr.features import RATE_HZ
from asr.params import Audio
from asr.utterances import Seconds

FULL_SCALE = 1.0
CLIPPED = 0.999 * FULL_SCALE
EDGE_S = 0.05  # of a clip, at each end
EDGE_DIGITS = 7  # of full scale: -140 dB
MISSING_S = 0.5  # of a piece or a recording: what rounding and padding explain


@dataclass(frozen=True)
class Piece:
    """Mono samples `(n_samples,)` at the recording's own rate."""

    samples: NDArray[np.float32]
    rate_hz: int


@dataclass(frozen=True)
class Clip:
    """Decoded speech, `(n_samples,)` float32 at 16 kHz, and measures of it."""

    samples: NDArray[np.float32]
    peak: float  # of full scale
    rms: float  # of full scale
    clipped_share: float  # of samples
    head_rms: float  # of full scale, of the first `EDGE_S`: as loud as the rest where a word is cut
    tail_rms: float  # the same of the last
    digest: str  # of the samples at 16 bits: equal audio, whatever its file

    @property
    def duration_s(self) -> Seconds:
        return len(self.samples) / RATE_HZ


def read_piece(file: Recording, start_s: Seconds, duration_s: Seconds | None, longest_s: Seconds) -> Piece:
    """The piece from `start_s`, of `duration_s` (None: to the end), mixed to mono. Raises `BadAudio`.

    No more than `longest_s` is decoded, whatever the header says.
    """
    rate_hz = file.rate_hz
    start, n_longest = round(start_s * rate_hz), int(longest_s * rate_hz)
    n_in_header = max(0, (file.n_frames or 0) - start)
    n_expected = n_in_header if duration_s is None else round(duration_s * rate_hz)
    if duration_s is not None and n_expected > n_longest:
        raise _too_long(duration_s, longest_s)
    if duration_s is None and n_in_header > n_longest and len(file.read(start + n_longest, 1)):
        raise _too_long(n_in_header / rate_hz, longest_s)
    samples = file.read(start, n_longest + 1 if duration_s is None else n_expected)
    if len(samples) > n_longest:
        raise _too_long(len(samples) / rate_hz, longest_s)
    if len(samples) == 0:
        raise BadAudio("empty audio", f"the recording has no samples from {start_s:g} s on")
    missing_s = (n_expected - len(samples)) / rate_hz
    if missing_s > MISSING_S:
        end_s = start_s + len(samples) / rate_hz
        raise BadAudio("cut short", f"the last {missing_s:.2f} s are missing: the recording ends at {end_s:.2f} s")
    return Piece(samples, rate_hz)


def clip(piece: Piece, rules: Audio, speed: float = 1.0, augment: str | None = None, seed: str = "") -> Clip:
    """The piece resampled by soxr HQ, `speed` times as fast, and augmented. Raises `BadAudio` where `rules` refuse it.

    Another speed is another pitch too, as in Kaldi's speed perturbation (Ko et al., Interspeech 2015).
    """
    samples, rate_hz = piece.samples, piece.rate_hz * speed
    if rate_hz != RATE_HZ:
        samples = soxr.resample(samples, rate_hz, RATE_HZ)
    magnitude = _checked(samples, rules)
    if augment is not None:
        samples = augmented(samples, augment, seed)
        magnitude = np.abs(samples)
    clipped_share = np.count_nonzero(magnitude >= CLIPPED) / len(samples)
    n_edge = round(EDGE_S * RATE_HZ)
    # Where a filter leaves silence, its rounding is all there is, and another on another processor.
    head_rms, tail_rms = (round(_rms(part), EDGE_DIGITS) for part in (samples[:n_edge], samples[-n_edge:]))
    return Clip(samples, float(magnitude.max()), _rms(samples), clipped_share, head_rms, tail_rms, _digest(samples))


def _rms(samples: NDArray[np.float32]) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


def _checked(samples: NDArray[np.float32], rules: Audio) -> NDArray[np.float32]:
    """The magnitudes of samples at 16 kHz. Raises `BadAudio` where `rules` refuse them."""
    duration_s = len(samples) / RATE_HZ
    if duration_s < rules.min_s or len(samples) == 0:
        raise BadAudio("too short", f"{duration_s:.3f} s is under audio.min_s ({rules.min_s:g})")
    if len(samples) > rules.max_s * RATE_HZ + 1:  # one by rounding
        raise _too_long(duration_s, rules.max_s)
    magnitude = np.abs(samples)
    peak = float(magnitude.max())  # no number where a sample is none
    if not math.isfinite(peak):
        raise BadAudio("not a number", "samples that are infinite or not a number")
    if peak <= FULL_SCALE * 10 ** (rules.silence_dbfs / 20):
        raise BadAudio("silent", f"the loudest sample is {peak:.2g} of full scale; see audio.silence_dbfs")
    return magnitude


def _too_long(duration_s: Seconds, longest_s: Seconds) -> BadAudio:
    return BadAudio("too long", f"{duration_s:.2f} s is over the {longest_s:g} s that audio.max_s allows")


def _digest(samples: NDArray[np.float32]) -> str:
    levels = samples * np.float32(FULL_SCALE * 32767)
    np.clip(np.rint(levels, out=levels), -32767, 32767, out=levels)
    return hashlib.blake2b(levels.astype("<i2").tobytes(), digest_size=16).hexdigest()
