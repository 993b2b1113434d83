"""An opened recording -> pieces of it, mono float32 at its own rate: by seeking where that is exact, else forward."""

import math
from typing import Protocol, TypeAlias

import numpy as np
import soundfile
from numpy.typing import NDArray

Samples: TypeAlias = NDArray[np.float32]  # (n_samples,), mono

BLOCK = 1 << 23  # samples of all channels together: 32 MiB, which holds most pieces whole
SKIPPED_S = 10  # decoded at once on the way to a piece


class Decoder(Protocol):
    """`n_frames` is what the header says of the length, None where it doesn't say or only guesses."""

    rate_hz: int
    n_channels: int
    n_frames: int | None

    def read(self, start: int, n: int) -> Samples:
        """At most `n` samples from `start` on; fewer where the recording ends. Raises whatever its library raises."""
        ...


class Sequential(soundfile.SoundFile):
    """Reads on without soundfile's seek to where it is, which breaks MP3 apart and fails in FLAC of unknown length."""

    def seekable(self) -> bool:
        return False

    def take(self, n: int) -> Samples:
        """The next `n` samples, or what is left of them, mixed block by block."""
        if self.channels == 1:
            return self.read(n, dtype="float32")
        blocks = []
        while n > 0:
            block = mixed(self.read(min(n, BLOCK // self.channels), dtype="float32").T)
            if len(block) == 0:
                break
            blocks.append(block)
            n -= len(block)
        return joined(blocks)


class Seeking:
    """What libsndfile seeks in exactly: all that it reads but Vorbis."""

    def __init__(self, sound: Sequential, n_frames: int | None) -> None:
        self.rate_hz, self.n_channels, self.n_frames = sound.samplerate, sound.channels, n_frames
        self._sound = sound
        self._position = 0

    def read(self, start: int, n: int) -> Samples:
        n = min(n, self._sound.frames - start)
        if n <= 0:
            return joined([])
        if start != self._position:
            self._sound.seek(start)
        samples = self._sound.take(n)
        self._position = start + len(samples)
        return samples


class Source(Protocol):
    """What `Forward` decodes; what lies more than `leap` samples ahead is sooner reached by `go`."""

    rate_hz: int
    n_channels: int
    n_frames: int | None
    leap: float

    def go(self, start: int) -> int:
        """Goes to `start` or before it; the position that `take` reads from then."""
        ...

    def take(self, n: int) -> Samples:
        """The next samples, about `n` of them; none at the end."""
        ...


class Forward:
    """Pieces of what is decoded in one go, best asked for in the order of time: all since the last start is kept."""

    def __init__(self, source: Source) -> None:
        self.rate_hz, self.n_channels, self.n_frames = source.rate_hz, source.n_channels, source.n_frames
        self._source = source
        self._kept: list[Samples] = []
        self._begin = self._end = 0  # of what is kept

    def read(self, start: int, n: int) -> Samples:
        if start < self._begin or start > self._end + self._source.leap:
            self._kept = []
            self._begin = self._end = self._source.go(start)
        while self._end < start + n:
            block = self._source.take(start + n - self._end if self._end >= start else start - self._end)
            if len(block) == 0:
                break
            self._kept.append(block)
            self._end += len(block)
            while self._kept and self._begin + len(self._kept[0]) <= start:
                self._begin += len(self._kept.pop(0))
        return joined(self._kept)[max(0, start - self._begin) :][:n]


class Vorbis:
    """Vorbis through libsndfile 1.2, whose seeks land elsewhere about once in twenty times."""

    leap = math.inf

    def __init__(self, sound: Sequential, n_frames: int | None) -> None:
        self.rate_hz, self.n_channels, self.n_frames = sound.samplerate, sound.channels, n_frames
        self._sound = sound

    def go(self, start: int) -> int:
        return self._sound.seek(0)

    def take(self, n: int) -> Samples:
        return self._sound.take(min(n, self._sound.frames, SKIPPED_S * self.rate_hz))


def mixed(channels: NDArray[np.float32]) -> Samples:
    """The mean of `(n_channels, n_samples)`; a single one as it is."""
    if len(channels) == 1:
        return channels[0]
    total = channels[0] + channels[1]
    for channel in channels[2:]:
        total += channel
    return total / np.float32(len(channels))


def joined(blocks: list[Samples]) -> Samples:
    """One after another; a single one without a copy."""
    return blocks[0] if len(blocks) == 1 else np.concatenate(blocks) if blocks else np.zeros(0, np.float32)
