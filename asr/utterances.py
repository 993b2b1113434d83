"""The one record that flows from a corpus to the shards, and the one that says why a row did not."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

Split: TypeAlias = Literal["train", "validation", "test"]
Seconds: TypeAlias = float

SPLITS: tuple[Split, ...] = ("train", "validation", "test")


@dataclass(frozen=True, slots=True)
class Utterance:
    """A piece of speech and what was said: references only, never samples.

    `audio` is a path (absolute, or relative to the project) or a URI; `start_s` is where the piece begins in it and
    `duration_s` how long it is (None: to the end of the file). `split` is None until the manifest has cut one.
    `source_bytes` is the size of the audio that has to be read, which shards are balanced by. `timed` says that the
    corpus itself declares where the words begin and end; a file's length is no such statement. `speed` and `augment`
    are those of a copy, which the plan makes of train utterances (`audio.speeds`, `audio.augment`).
    """

    id: str
    audio: str
    text: str
    language: str
    split: Split | None = None
    speaker: str | None = None
    start_s: Seconds = 0.0
    duration_s: Seconds | None = None
    source_bytes: int = 0
    timed: bool = False
    speed: float = 1.0
    augment: str | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that is not used: `reason` is a short phrase that can be counted, `detail` says more about this row."""

    id: str
    reason: str
    detail: str = ""
