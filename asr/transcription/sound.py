"""A recording -> its samples at 16 kHz, block by block, whatever its length, format and rate."""

from collections.abc import Iterator

import numpy as np
import soxr
from numpy.typing import NDArray

from asr.clips.recordings import BadAudio, Recording
from asr.features import RATE_HZ
from asr.utterances import Seconds

BLOCK_S = 10
CUT_S = 0.5  # that are missing at the end: what rounding and padding do not explain


def blocks(recording: Recording) -> Iterator[NDArray[np.float32]]:
    """Mono float32, in order. Raises `BadAudio` for a recording without samples, or with some that are no numbers."""
    resampler = soxr.ResampleStream(recording.rate_hz, RATE_HZ, num_channels=1, dtype="float32")
    n_read, n_block = 0, BLOCK_S * recording.rate_hz
    while len(samples := recording.read(n_read, n_block)):
        n_read += len(samples)
        if not np.isfinite(samples).all():
            raise BadAudio("not a number", "samples that are infinite or not a number")
        yield resampler.resample_chunk(samples)
    if not n_read:
        raise BadAudio("empty audio", "it has no samples")
    yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)


def missing_s(recording: Recording, heard_s: Seconds) -> Seconds:
    """How much of what its header says has not come; 0 where nothing is missing, or the header does not say."""
    missing = (recording.n_frames or 0) / recording.rate_hz - heard_s
    return missing if missing > CUT_S else 0.0
