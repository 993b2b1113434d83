"""Samples at 16 kHz -> where someone speaks, by Silero's voice activity detector, whose weights come in its package.

It goes through a recording of any length in blocks, and keeps no more of it than the speech that has not ended.
"""

import importlib.resources
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray

from asr.features import RATE_HZ
from asr.utterances import Seconds

_n_threads = torch.get_num_threads()
from silero_vad import sequence_vad, utils_vad  # noqa: E402

torch.set_num_threads(_n_threads)  # to import it sets 1, for the whole process

FRAME, CONTEXT = sequence_vad.RATE_CONFIG[RATE_HZ]  # samples
STATE = (1, 1, 128)
FRAMES_AT_ONCE = 512  # the package's own
CHAPTER_S = 60.0  # of samples that are looked at together
PAUSE_MS = 500  # of silence end a passage
MARGIN_MS = 150  # of silence are kept at either end of it
BREATH_MS = 40  # of silence are enough to cut speech that is longer than a window
OVERLAP_S = 1.0  # of two windows, where speech that is longer than one has no breath
SHORTEST_MS = 100
SPEECH = 0.5  # a frame's share from which on it is speech, Silero's own
ANY_SPEECH = 0.1  # the best frame's share, from which on a short recording is heard


@dataclass(frozen=True)
class Passage:
    """Speech that starts at `start_s`: `samples` `(n_samples,)`. The first `overlap_s` of it are the end of the former
    passage too, where speech had to be cut."""

    start_s: Seconds
    samples: NDArray[np.float32]
    overlap_s: Seconds = 0.0

    @property
    def end_s(self) -> Seconds:
        return self.start_s + len(self.samples) / RATE_HZ


class Detector:
    """Shares of speech, 0 to 1, of each `FRAME` of one recording after the other; `reset` begins another."""

    def __init__(self) -> None:
        with importlib.resources.path("silero_vad.data", "silero_vad_16k_sequence.onnx") as path:
            self._session = sequence_vad.SileroVADSequence(str(path)).session
        self.reset()

    def reset(self) -> None:
        self._hidden, self._cell = np.zeros(STATE, np.float32), np.zeros(STATE, np.float32)
        self._context = np.zeros(CONTEXT, np.float32)

    def __call__(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Of whole frames `(n_frames * FRAME,)`, which follow those of the call before."""
        found = []
        for first in range(0, len(samples), FRAME * FRAMES_AT_ONCE):
            frames = samples[first : first + FRAME * FRAMES_AT_ONCE].reshape(-1, FRAME)
            contexts = np.vstack((self._context, frames[:-1, -CONTEXT:]))
            self._context = frames[-1, -CONTEXT:]
            inputs = {"input": np.hstack((contexts, frames)), "h": self._hidden, "c": self._cell}
            shares, self._hidden, self._cell = self._session.run(["speech_probs", "hn", "cn"], inputs)
            found.append(shares.reshape(-1))
        return np.concatenate(found) if found else np.zeros(0, np.float32)


def passages(
    blocks: Iterable[NDArray[np.float32]], detector: Detector, longest_s: Seconds, chapter_s: Seconds = CHAPTER_S
) -> Iterator[Passage]:
    """The speech in consecutive blocks of samples, of any size, in order; no passage is over `longest_s`.

    A recording that is no longer than that is one passage, as the evaluation hears it, if there is any speech in it.
    """
    blocks = iter(blocks)
    first, n_samples = [], 0
    for block in blocks:
        first.append(block)
        n_samples += len(block)
        if n_samples > longest_s * RATE_HZ:
            break
    else:
        samples = np.concatenate([*first, np.zeros(0, np.float32)])
        if has_speech(samples, detector):
            yield Passage(0.0, samples)
        return
    detector.reset()
    held = _Held(detector, longest_s)
    for block in chain(first, blocks):
        held.add(block)
        if held.n_new >= chapter_s * RATE_HZ:
            yield from held.ended()
    yield from held.rest()


def has_speech(samples: NDArray[np.float32], detector: Detector) -> bool:
    """Whether any of it may be speech."""
    detector.reset()
    shares = detector(np.pad(samples, (0, -len(samples) % FRAME)))
    return bool(len(shares)) and float(shares.max()) >= ANY_SPEECH


class _Held:
    """What is kept of a recording: from the beginning of the speech that may go on, and the overlap before it."""

    def __init__(self, detector: Detector, longest_s: Seconds) -> None:
        self._detector, self._longest_s = detector, longest_s
        self._overlap_s = min(OVERLAP_S, longest_s / 4)
        self._samples = np.zeros(0, np.float32)
        self._begin = 0  # places in the recording: of the first sample that is kept
        self._first = 0  # of the first one with a share
        self._last_end = -FRAME  # of the last passage
        self._shares = np.zeros(0, np.float32)  # of speech, of each frame from `_first` on
        self._new: list[NDArray[np.float32]] = []  # not looked at yet
        self.n_new = 0

    def add(self, block: NDArray[np.float32]) -> None:
        self._new.append(block)
        self.n_new += len(block)

    def ended(self) -> Iterator[Passage]:
        """The passages that have; one that reaches to the last sample may go on."""
        self._look()
        spans = self._spans()
        goes_on = bool(spans) and spans[-1][1] >= self._end
        yield from map(self._passage, spans[:-1] if goes_on else spans)
        # Where nobody speaks yet, somebody may have begun to.
        keep = spans[-1][0] if goes_on else self._end - MARGIN_MS * RATE_HZ // 1000 - SHORTEST_MS * RATE_HZ // 1000
        keep = max(keep, self._last_end if not goes_on else 0)
        n_dropped = max(0, (keep - self._first) // FRAME)
        self._first += n_dropped * FRAME
        self._shares = self._shares[n_dropped:]
        begin = max(self._begin, self._first - round(self._overlap_s * RATE_HZ))
        self._samples = self._samples[begin - self._begin :]
        self._begin = begin

    def rest(self) -> Iterator[Passage]:
        """All passages, for the recording has ended."""
        n_missing = -self.n_new % FRAME
        self.add(np.zeros(n_missing, np.float32))
        self._look()
        self._samples = self._samples[: len(self._samples) - n_missing]
        yield from map(self._passage, self._spans())

    @property
    def _end(self) -> int:
        return self._begin + len(self._samples)

    def _look(self) -> None:
        new = np.concatenate([*self._new, np.zeros(0, np.float32)])
        n_whole = len(new) // FRAME * FRAME
        self._shares = np.concatenate((self._shares, self._detector(new[:n_whole])))
        self._samples = np.concatenate((self._samples, new[:n_whole]))
        self._new, self.n_new = [new[n_whole:]], len(new) - n_whole

    def _spans(self) -> list[tuple[int, int]]:
        """Where the passages begin and end, as places in the recording."""
        found = utils_vad.get_speech_timestamps_from_probs(
            self._shares.tolist(),
            RATE_HZ,
            min_speech_duration_ms=SHORTEST_MS,
            max_speech_duration_s=self._longest_s - self._overlap_s,
            min_silence_duration_ms=PAUSE_MS,
            speech_pad_ms=MARGIN_MS,
            min_silence_at_max_speech=BREATH_MS,
            audio_length_samples=self._end - self._first,
        )
        return [(self._first + span["start"], self._first + span["end"]) for span in found]

    def _passage(self, span: tuple[int, int]) -> Passage:
        start, end = span
        frame = (start - self._first) // FRAME
        is_cut = start - self._last_end <= FRAME and self._shares[frame] >= SPEECH
        begin = max(self._begin, start - round(self._overlap_s * RATE_HZ)) if is_cut else start
        self._last_end = end
        samples = self._samples[begin - self._begin : end - self._begin].copy()
        return Passage(begin / RATE_HZ, samples, (start - begin) / RATE_HZ)
