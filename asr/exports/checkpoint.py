"""data/model -> the same checkpoint as others load it: safetensors, processor, language and task; or in CTranslate2."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import WhisperForConditionalGeneration, WhisperProcessor

from asr.models import checkpoints

# What CTranslate2 takes along for faster-whisper, and for the engine here.
TAKEN_ALONG = ("tokenizer.json", "tokenizer_config.json", "preprocessor_config.json", "generation_config.json")
WINDOW = "encoder_window_s"  # of config.json


def write_hub(model: Path, folder: Path, languages: Sequence[str]) -> None:
    """In float32, as it was trained. Where the corpus has one language, the checkpoint asks for it by itself."""
    network: Any = checkpoints.load_model(model, WhisperForConditionalGeneration)
    settings = network.generation_config
    if getattr(settings, "is_multilingual", False):
        settings.task = "transcribe"
        settings.language = languages[0] if len(languages) == 1 else None
    checkpoints.save(network, WhisperProcessor.from_pretrained(model), folder)
    # transformers would leave out of the config what no class of its own knows
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    trained = json.loads((model / "config.json").read_text(encoding="utf-8"))
    if WINDOW in trained and WINDOW not in config:
        _write(folder / "config.json", config | {WINDOW: trained[WINDOW]})


def write_ctranslate2(hub: Path, folder: Path, quantization: str) -> None:
    """`hub`, an exported checkpoint, with its weights in `quantization` (float16, int8)."""
    from ctranslate2.converters import TransformersConverter

    shutil.rmtree(folder, ignore_errors=True)
    taken = [name for name in TAKEN_ALONG if (hub / name).exists()]
    with checkpoints.explained_writing(folder), torch.no_grad():
        TransformersConverter(str(hub), copy_files=taken).convert(str(folder), quantization=quantization)
        trained = json.loads((hub / "config.json").read_text(encoding="utf-8"))
        own = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        _write(folder / "config.json", own | {WINDOW: trained.get(WINDOW, 30)})


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
