"""A folder and the name of an engine -> the engine, with the checkpoint in the folder loaded."""

import json
from pathlib import Path
from typing import Literal, TypeAlias

from asr.errors import UserError
from asr.transcription.engine import Engine

EngineName: TypeAlias = Literal["torch", "ctranslate2"]


CONVERTED = "model.bin"  # of CTranslate2
NEEDED = {
    "tokenizer": ("tokenizer.json", "vocab.json"),
    "generation config": ("generation_config.json",),
    "mel settings": ("preprocessor_config.json", "processor_config.json"),
}
LONGEST_WINDOW_S = 30


def load(folder: Path, engine: EngineName, precision: str = "auto", window_s: int | None = None) -> Engine:
    """`window_s` None: as the checkpoint was trained. Raises `UserError` for what is no Whisper checkpoint, cannot be
    loaded, or an engine that is not installed."""
    check_settings(engine, precision, window_s)
    check_family(folder, engine)
    try:
        loaded = _loaded(folder, engine, precision)
    except UserError:
        raise
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        said = " ".join(str(error).split())[:200]
        raise UserError(f"{folder}: the checkpoint cannot be loaded ({type(error).__name__}: {said})") from error
    if window_s is not None:
        loaded.window_s = window_s
    return loaded


def check_settings(engine: EngineName, precision: str, window_s: int | None) -> None:
    """Raises `UserError` for settings that do not go together."""
    if window_s is not None and not 0 <= window_s <= LONGEST_WINDOW_S:
        raise UserError(f"--window-s is {window_s}; it must be 1 to {LONGEST_WINDOW_S}, or 0: the speech's own length")
    if precision == "int8" and engine == "torch":
        raise UserError("--precision int8 is for --engine ctranslate2")


def check_family(folder: Path, engine: EngineName = "torch") -> None:
    """Raises `UserError` for a folder without a whole checkpoint of Whisper that the engine can load."""
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; name a checkpoint with --model (`dvc repro` makes data/model)")
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise UserError(f"{folder}: no config.json of a checkpoint in it; name one with --model") from None
    kind = config.get("model_type") if isinstance(config, dict) else None
    is_converted = (folder / CONVERTED).exists()
    if is_converted and engine == "torch":
        raise UserError(f"{folder} is a checkpoint of CTranslate2's: add --engine ctranslate2")
    if kind != "whisper" and not is_converted:
        raise UserError(f"{folder / 'config.json'}: model_type is {kind!r}; only whisper can be transcribed with here")
    for what, names in NEEDED.items():
        if not any((folder / name).exists() for name in names):
            raise UserError(f"{folder}: no {what} in it ({' or '.join(names)})")


def _loaded(folder: Path, engine: EngineName, precision: str) -> Engine:
    if engine == "ctranslate2":
        try:
            from asr.transcription.ctranslate2_engine import CTranslate2Engine
        except ImportError:
            raise UserError("--engine ctranslate2 needs an extra: pip install '.[ctranslate2]'") from None
        return CTranslate2Engine(folder, precision)
    from asr.transcription.torch_engine import TorchEngine

    return TorchEngine(folder, precision)
