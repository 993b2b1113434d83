"""A file that libsndfile refuses (MP4, M4A, WebM, WMA ...) -> its decoder, by FFmpeg through PyAV (extra `formats`)."""

import ctypes
import math
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import chain
from typing import IO, Any

import av
import numpy as np

from asr.clips.decoders import Decoder, Forward, Samples, joined, mixed

# Formats of recordings. Playlists stay out: what they say could name other files and addresses.
FORMATS = (
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,eac3,flac,flv,matroska,mov,mp3,mp4,mpeg,mpegts,ogg,rm,tta,w64,wav,webm,wv"
)
SAYS_ITS_LENGTH = ("asf", "matroska", "mov")  # names begin so; the others guess it from the bit rate
# A packet of these has its own exact time, so that seeking is exact; of the others it is rounded, or guessed.
SAYS_EXACT_TIMES = ("mov",)
PREROLL_S = 0.5  # decoded and dropped after a seek: codecs overlap their frames, and SBR and bit reservoirs reach back
LEAP_S = 10
MOST_BYTES = 128 * 2**20  # of one allocation of FFmpeg's, which believes the sizes that a file's tags and tables say


@contextmanager
def opened(file: IO[bytes]) -> Iterator[Decoder]:
    """The first audio stream of an opened binary file. Raises PyAV's errors, `ValueError` where there is none."""
    with closing(Stream(file)) as stream:
        yield Forward(stream)


class Stream:
    """A source for `Forward`: positions are samples since the stream begins; priming, which is before, is dropped."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._open()
        name, stream = self._container.format.name, self._stream
        self.rate_hz, self.n_channels = int(stream.rate), int(stream.channels)
        self.n_frames = round(self._said_s() * self.rate_hz) or None if name.startswith(SAYS_ITS_LENGTH) else None
        self._exact = name.startswith(SAYS_EXACT_TIMES)
        self.leap = LEAP_S * self.rate_hz if self._exact else math.inf
        self._origin = max(0, stream.start_time or 0)  # in ticks of stream.time_base

    def close(self) -> None:
        self._container.close()

    def go(self, start: int) -> int:
        earlier_s = start / self.rate_hz - PREROLL_S
        if not self._exact or earlier_s <= 0:
            # FFmpeg drops the priming after opening, not after a seek to the beginning.
            self.close()
            self._open()
            return 0
        self._container.seek(self._origin + int(earlier_s / self._stream.time_base), stream=self._stream)
        self._blocks = self._decoded()
        position, block = next(self._blocks, (start, joined([])))
        self._blocks = chain([(position, block)], self._blocks)
        return position

    def take(self, n: int) -> Samples:
        return next(self._blocks, (0, joined([])))[1]

    def _said_s(self) -> float:
        """What the header says of the stream's length, in seconds; 0 where it says that of a picture's too."""
        if self._stream.duration:
            return float(self._stream.duration * self._stream.time_base)
        is_alone = len(self._container.streams) == 1
        return float((self._container.duration or 0) / av.time_base) if is_alone else 0.0

    def _open(self) -> None:
        ctypes.CDLL(av._core.__file__).av_max_alloc(ctypes.c_size_t(MOST_BYTES))  # PyAV has no name for it
        self._file.seek(0)
        self._container: Any = av.open(self._file, options={"format_whitelist": FORMATS})
        if not self._container.streams.audio:
            self.close()
            raise ValueError("there is no audio in it")
        self._stream: Any = self._container.streams.audio[0]
        self._blocks = self._decoded()

    def _decoded(self) -> Iterator[tuple[int, Samples]]:
        """Position and samples of each frame from here on."""
        planes = av.AudioResampler(format="fltp")  # of the same rate and layout
        for frame in self._container.decode(self._stream):
            position = round(((frame.pts or 0) - self._origin) * self._stream.time_base * self.rate_hz)
            for plane in planes.resample(frame):
                samples = mixed(plane.to_ndarray().astype(np.float32, copy=False))[max(0, -position) :]
                if len(samples):
                    yield max(0, position), samples
