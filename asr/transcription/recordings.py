"""Recordings -> their transcripts: windows of all of them are heard in batches of one length, and put together."""

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO, TypeAlias

import numpy as np
from numpy.typing import NDArray

from asr import storage
from asr.clips.recordings import BadAudio, Recording, recording
from asr.errors import UserError
from asr.features import MAX_S, RATE_HZ, log_mel, pad_log_mel
from asr.languages import NAMES
from asr.models.whisper import window_frames
from asr.relatives import relative
from asr.transcription.activity import Detector, passages
from asr.transcription.engine import Encoded, Engine
from asr.transcription.sound import blocks, missing_s
from asr.transcription.transcript import Segment, Transcript, Word
from asr.transcription.words import joined, timed_words
from asr.utterances import Seconds

BATCH_SIZE = 16
POOL_SIZE = 64  # windows that wait, so that those of like length are heard together
FIRST_WINDOWS, TELLING_WINDOWS = 8, 3  # a language is told by so many of a recording's first ones

OpenRead: TypeAlias = Callable[[str], IO[bytes]]


@dataclass(frozen=True)
class Failed:
    """A recording that cannot be heard: a short reason that can be counted, and what it is about."""

    reason: str
    detail: str


Outcome: TypeAlias = Transcript | Failed


@dataclass(frozen=True)
class _Place:
    """Of a passage in its recording."""

    start_s: Seconds
    duration_s: Seconds
    overlap_s: Seconds


@dataclass(eq=False)
class _Opened:
    """A recording that is being heard: its passages so far, and the words of those that have been."""

    name: str
    language: str | None
    duration_s: Seconds = 0.0
    missing_s: Seconds = 0.0
    broken: str | None = None
    is_read: bool = False
    failed: Failed | None = None
    shares: NDArray[np.float64] | None = None  # how likely each language is, as far as it was heard
    places: list[_Place] = field(default_factory=list)
    words: dict[int, list[Word]] = field(default_factory=dict)

    @property
    def is_too_short_to_tell(self) -> bool:
        """Whether its language is to be told from more of it than has been read."""
        return self.language is None and not self.is_read and len(self.places) < FIRST_WINDOWS

    @property
    def is_done(self) -> bool:
        return self.failed is not None or (self.is_read and len(self.words) == len(self.places))

    def outcome(self) -> Outcome:
        if self.failed:
            return self.failed
        heard = [self.words[number] for number in range(len(self.places))]
        for number, place in enumerate(self.places):
            if place.overlap_s and number:
                both_s = (place.start_s, place.start_s + place.overlap_s)
                heard[number - 1], heard[number] = joined(heard[number - 1], heard[number], *both_s)
        segments = [Segment(words[0].start_s, words[-1].end_s, words) for words in heard if words]
        return Transcript(self.duration_s, self.language, segments, self.missing_s, self.broken)


@dataclass(frozen=True, eq=False)
class _Window:
    """A passage on its way to the engine; `log_mel` (M, T) is trimmed."""

    of: _Opened
    number: int
    log_mel: NDArray[np.float32]

    @property
    def key(self) -> str:
        return f"{self.of.name} {self.number}"


class Transcriber:
    """An engine that hears whole recordings, in `language` or, where that is None, in the one it detects in each."""

    def __init__(self, engine: Engine, language: str | None = None) -> None:
        """Raises `UserError` for a language that the engine does not know."""
        language = language or engine.language
        if language is not None and language not in engine.languages:
            raise UserError(f"language {language!r}: {_advice(language, engine.languages)}")
        self._engine, self._language = engine, language
        self._detector = Detector()
        self.lock = threading.Lock()  # for those who share it: it hears for one at a time
        self._longest_s = engine.window_s or MAX_S

    def transcripts(
        self,
        names: Iterable[str],
        open_read: OpenRead = storage.open_read,
        told: Callable[[Seconds], None] = lambda heard_s: None,
    ) -> Iterator[tuple[str, Outcome]]:
        """Of each recording, a path or URI or what `open_read` takes, in their order; `told` is how much was heard."""
        waiting: list[_Opened] = []
        pool: list[_Window] = []
        for name in names:
            opened = _Opened(name, self._language)
            waiting.append(opened)
            for window in self._windows(opened, open_read):
                pool.append(window)
                if len(pool) >= POOL_SIZE:
                    # Of how many windows a language is told must not depend on what else is heard.
                    kept = [window for window in pool if window.of is opened] if opened.is_too_short_to_tell else []
                    told(self._hear(pool[: len(pool) - len(kept)]))
                    pool = kept
            while waiting and waiting[0].is_done:
                yield waiting[0].name, waiting.pop(0).outcome()
        told(self._hear(pool))
        for opened in waiting:
            yield opened.name, opened.outcome()

    def _windows(self, opened: _Opened, open_read: OpenRead) -> Iterator[_Window]:
        try:
            with recording(opened.name, open_read) as file:
                for passage in passages(self._counted(file, opened), self._detector, self._longest_s):
                    opened.places.append(_Place(passage.start_s, len(passage.samples) / RATE_HZ, passage.overlap_s))
                    yield _Window(opened, len(opened.places) - 1, log_mel(passage.samples, self._engine.n_mels))
                opened.missing_s = missing_s(file, opened.duration_s)
        except BadAudio as bad:
            opened.failed = Failed(bad.reason, bad.detail)
        opened.is_read = True

    def _counted(self, file: Recording, opened: _Opened) -> Iterator[NDArray[np.float32]]:
        """What can be read of it; a spot that is damaged ends it."""
        try:
            for block in blocks(file):
                opened.duration_s += len(block) / RATE_HZ
                yield block
        except BadAudio as bad:
            if not opened.duration_s:
                raise
            opened.broken = f"{bad.reason}: {bad.detail}"

    def _hear(self, pool: Sequence[_Window]) -> Seconds:
        """Of all windows; how much they are."""
        telling = list(_telling(pool))
        for windows, n_t in self._batches(telling):
            self._detect(windows, self._engine.detect(self._encode(windows, n_t)))
        self._settle(telling)
        for windows, n_t in self._batches(pool):
            self._hear_batch(windows, n_t)
        return sum(window.of.places[window.number].duration_s for window in pool)

    def _batches(self, windows: Sequence[_Window]) -> Iterator[tuple[Sequence[_Window], int]]:
        """Windows of like length, with the frames that they are padded to."""
        of_lengths: dict[int, list[_Window]] = defaultdict(list)
        for window in sorted(windows, key=lambda window: window.log_mel.shape[1]):
            of_lengths[window_frames(window.log_mel.shape[1], self._engine.window_s)].append(window)
        for n_t, alike in of_lengths.items():
            for first in range(0, len(alike), BATCH_SIZE):
                yield alike[first : first + BATCH_SIZE], n_t

    def _encode(self, windows: Sequence[_Window], n_t: int) -> Encoded:
        return self._engine.encode(np.stack([pad_log_mel(window.log_mel, n_t) for window in windows]))

    def _hear_batch(self, windows: Sequence[_Window], n_t: int) -> None:
        """Of windows that are padded to `n_t` frames."""
        engine, encoded = self._engine, self._encode(windows, n_t)
        if any(window.of.language is None for window in windows):  # of one window each
            self._detect(windows, engine.detect(encoded))
            self._settle(windows)
        languages = [window.of.language or "" for window in windows]
        n_frames = [min(window.log_mel.shape[1], n_t) for window in windows]
        found = engine.hear(encoded, n_frames, languages, [window.key for window in windows])
        for window, heard, language in zip(windows, found, languages, strict=True):
            place = window.of.places[window.number]
            words = engine.words(heard.tokens, language)
            window.of.words[window.number] = timed_words(words, heard.timed, place.start_s, place.duration_s)

    def _detect(self, windows: Sequence[_Window], shares: NDArray[np.float64]) -> None:
        """Adds to what is known of the language of recordings that have none."""
        for window, of_window in zip(windows, shares, strict=True):
            if window.of.language is None:
                window.of.shares = of_window if window.of.shares is None else window.of.shares + of_window

    def _settle(self, windows: Sequence[_Window]) -> None:
        """Gives recordings that have none the language that is likeliest in what was heard of them."""
        for opened in {window.of for window in windows}:
            if opened.language is None and opened.shares is not None:
                opened.language = self._engine.languages[int(opened.shares.argmax())]


def _telling(pool: Sequence[_Window]) -> Iterator[_Window]:
    """Those by which the language of recordings of several windows is told: the longest of the first ones of each."""
    of_recordings: dict[_Opened, list[_Window]] = defaultdict(list)
    for window in pool:
        if window.of.language is None and window.number < FIRST_WINDOWS:
            of_recordings[window.of].append(window)
    for windows in of_recordings.values():
        if len(windows[0].of.places) > 1:
            yield from sorted(windows, key=lambda window: window.log_mel.shape[1])[-TELLING_WINDOWS:]


def _advice(language: str, known: Sequence[str]) -> str:
    if len(known) == 1:
        return "the checkpoint knows English only"
    near = relative(language)
    instead = f"its nearest relative is {near[0]} ({NAMES[near[0]].title()})" if near else "name one of Whisper's codes"
    return f"none of the {len(known)} that the checkpoint knows, such as en, es and hi; {instead}"
