"""What was heard in a recording: words, segments, transcripts; times are seconds from its beginning."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from asr.utterances import Seconds


@dataclass(frozen=True, slots=True)
class Word:
    """A word as it is written, with the space before it where its language has one, and the punctuation that touches
    it. `confidence` is the geometric mean of what the model gave its tokens, 0 to 1."""

    text: str
    start_s: Seconds
    end_s: Seconds
    confidence: float


@dataclass(frozen=True, slots=True)
class Segment:
    """What was heard in one stretch of speech."""

    start_s: Seconds
    end_s: Seconds
    words: Sequence[Word]

    @property
    def text(self) -> str:
        return "".join(word.text for word in self.words).strip()

    @property
    def confidence(self) -> float:
        return mean_confidence(self.words)


@dataclass(frozen=True, slots=True)
class Transcript:
    """What was heard in a recording of `duration_s`; `language` is None where it has no speech and none was given.

    `missing_s` is what its header promises and the file does not have; `broken` why nothing was read past its end.
    """

    duration_s: Seconds
    language: str | None
    segments: Sequence[Segment] = field(default_factory=list)
    missing_s: Seconds = 0.0
    broken: str | None = None

    @property
    def words(self) -> list[Word]:
        return [word for segment in self.segments for word in segment.words]

    @property
    def text(self) -> str:
        return " ".join(segment.text for segment in self.segments if segment.text)

    @property
    def confidence(self) -> float:
        return mean_confidence(self.words)


def mean_confidence(words: Sequence[Word]) -> float:
    """The geometric mean over words; 0 without any."""
    if not words or any(word.confidence <= 0 for word in words):
        return 0.0
    return math.exp(sum(math.log(word.confidence) for word in words) / len(words))


def remarks(transcript: Transcript) -> Iterator[str]:
    """What a reader should know of how a transcript came to be."""
    if not transcript.segments:
        yield f"no speech in its {transcript.duration_s:.2f} s"
    if transcript.broken:
        yield f"it cannot be read past {transcript.duration_s:.1f} s ({transcript.broken})"
    elif transcript.missing_s:
        promised_s = transcript.duration_s + transcript.missing_s
        yield f"it ends early, after {transcript.duration_s:.1f} of the {promised_s:.1f} s that its header promises"
