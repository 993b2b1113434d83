"""The one record that flows from a corpus to the shards, where its audio lies, and why a row did not."""

import re
from dataclasses import dataclass
from typing import Literal, Self, TypeAlias
from urllib.parse import quote, unquote

Split: TypeAlias = Literal["train", "validation", "test"]
Seconds: TypeAlias = float

_BLOCK = re.compile(r"(.+)#block=(\d+)&column=([^#&]+)", re.DOTALL)
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


@dataclass(frozen=True, slots=True)
class Utterance:
    """A piece of speech and what was said: references only, never samples.

    `audio` is a path (absolute, or relative to the project) or a URI; of audio that is embedded in a dataset's file it
    names the block of rows (`Block`), and `row` is the place in it. `start_s` is where the piece begins and
    `duration_s` how long it is (None: to the end of the file). `split` is None until the manifest has cut one.
    `source_bytes` is the size of the audio that has to be read, which shards are balanced by. `timed` says that the
    corpus itself declares where the words begin and end; a file's length is no such statement. `speed` and `augment`
    are those of a copy, which the plan makes of train utterances (`audio.speeds`, `audio.augment`). `source` names the
    corpus of a mixture that the row is of; None where there is but one.
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
    row: int | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that is not used: `reason` is a short phrase that can be counted, `detail` says more about this row."""

    id: str
    reason: str
    detail: str = ""


@dataclass(frozen=True)
class Block:
    """Rows of a dataset's file that are read together (a row group of Parquet, a record batch of Arrow), and the column
    that embeds their audio. `str` of it is an utterance's `audio`.
    """

    path: str  # or URI
    number: int
    column: str

    def __str__(self) -> str:
        return f"{self.path}#block={self.number}&column={quote(self.column, safe='')}"

    @classmethod
    def of(cls, audio: str) -> Self:
        match = _BLOCK.fullmatch(audio)
        assert match, audio
        return cls(match[1], int(match[2]), unquote(match[3]))
