"""A package of MLflow -> rows with the bytes of audio files become rows with what is said in them.

MLflow imports this by its name where it loads a package (asr/experiments/packaging.py); batching is the server's.
"""

import io
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from asr.errors import UserError
from asr.transcription.engine import Engine
from asr.transcription.engines import load
from asr.transcription.recordings import Failed, Outcome, Transcriber

COLUMNS = ("text", "language", "confidence", "duration_s", "error")


def _load_pyfunc(folder: str) -> "Served":
    """MLflow's name for what it calls to load a package; `folder` is the checkpoint."""
    return Served(load(Path(folder), "torch"))


class Served:
    """A loaded checkpoint, which answers one request after the other."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self._lock = engine, threading.Lock()

    def predict(self, asked: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Of each row's `audio`, the bytes of a file of any format, in its `language` or the one that is detected.

        `error` says why there is no text, where a row's audio cannot be read; it is empty in the others.
        """
        languages = list(asked["language"]) if "language" in asked else [None] * len(asked)
        with self._lock:
            rows = [self._row(*row) for row in zip(asked["audio"], languages, strict=True)]
        return pd.DataFrame(rows, columns=list(COLUMNS))

    def _row(self, audio: bytes, language: str | None) -> Sequence[Any]:
        try:
            # what is left out beside others that are given comes as NaN
            heard = self._hear(audio, language if isinstance(language, str) and language else None)
        except UserError as error:
            heard = Failed("refused", str(error))
        if isinstance(heard, Failed):
            return ["", "", 0.0, 0.0, f"{heard.reason}: {heard.detail}"]
        return [heard.text, heard.language or "", heard.confidence, heard.duration_s, ""]

    def _hear(self, audio: bytes, language: str | None) -> Outcome:
        transcriber = Transcriber(self._engine, language)
        ((_, outcome),) = transcriber.transcripts(["the audio that was sent"], lambda name: io.BytesIO(audio))
        return outcome
