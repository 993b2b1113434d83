"""Windows of speech -> what a checkpoint hears in them. The interface of the engines, and how one is chosen."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from asr.errors import UserError
from asr.utterances import Seconds

EngineName: TypeAlias = Literal["torch", "ctranslate2"]
ENGLISH = "en"


@dataclass(frozen=True)
class Timed:
    """Of the tokens of one clip: `confidences`, what the model gave each of them, and `starts_s`, when each began, with
    the end of the last one after them."""

    confidences: list[float]
    starts_s: list[Seconds]


@dataclass(frozen=True)
class Heard:
    """The tokens of one window, without prefix and end, their times in it, and whether they ran away in a loop."""

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


def check_family(folder: Path) -> None:
    """Raises `UserError` for a folder without a checkpoint of Whisper, CTranslate2's own included."""
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; name a checkpoint with --model (`dvc repro` makes data/model)")
    try:
        kind = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type")
    except (OSError, ValueError):
        raise UserError(f"{folder}: no config.json of a checkpoint in it; name one with --model") from None
    if kind != "whisper" and not (folder / "model.bin").exists():
        raise UserError(f"{folder / 'config.json'}: model_type is {kind!r}; only whisper can be transcribed with here")


def load(folder: Path, engine: EngineName, precision: str = "auto") -> Engine:
    """Raises `UserError` for what is no Whisper checkpoint, or an engine that is not installed."""
    check_family(folder)
    if engine == "ctranslate2":
        try:
            from asr.transcription.ctranslate2_engine import CTranslate2Engine
        except ImportError:
            raise UserError("--engine ctranslate2 needs an extra: pip install '.[ctranslate2]'") from None
        return CTranslate2Engine(folder, precision)
    from asr.transcription.torch_engine import TorchEngine

    return TorchEngine(folder, precision)
