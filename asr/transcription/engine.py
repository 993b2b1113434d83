"""Windows of speech -> what a checkpoint hears in them. The interface of the engines."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from asr.utterances import Seconds

ENGLISH = "en"


@dataclass(frozen=True)
class Timed:
    """Of the tokens of one clip: `confidences`, what the model gave each of them, and `starts_s`, when each began, with
    the end of the last one after them."""

    confidences: list[float]
    starts_s: list[Seconds]


@dataclass(frozen=True)
class Heard:
    """The tokens of one window, without prefix and end, and their times in it."""

    tokens: list[int]
    timed: Timed


Encoded: TypeAlias = Any  # what an engine makes of a batch of windows before it knows their language


class Engine(Protocol):
    """`languages` are the codes that it knows: one that knows English alone detects nothing. `language` is the one that
    the checkpoint itself asks for, if any."""

    n_mels: int
    window_s: int
    languages: Sequence[str]
    language: str | None

    def encode(self, features: NDArray[np.float32]) -> Encoded:
        """Of log-Mel windows of one length, (B, M, T)."""
        ...

    def detect(self, encoded: Encoded) -> NDArray[np.float64]:
        """(B, languages): how likely each language is in each window."""
        ...

    def hear(
        self, encoded: Encoded, n_frames: Sequence[int], languages: Sequence[str], keys: Sequence[str]
    ) -> list[Heard]:
        """What is said in each window, of which `n_frames` are its own; `keys` seed what is sampled in them."""
        ...

    def words(self, tokens: Sequence[int], language: str) -> list[tuple[str, list[int]]]:
        """The words that tokens write, in order, each with the places of its tokens."""
        ...
