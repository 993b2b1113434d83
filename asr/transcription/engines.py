"""A folder and the name of an engine -> the engine, with the checkpoint in the folder loaded."""

import json
from pathlib import Path
from typing import Literal, TypeAlias

from asr.errors import UserError
from asr.transcription.engine import Engine

EngineName: TypeAlias = Literal["torch", "ctranslate2"]


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
