"""Checkpoint directories: how they are loaded for training and decoding, and saved so that every tool reads them."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from transformers import WhisperForConditionalGeneration, WhisperProcessor
from transformers.utils import logging

from asr.errors import UserError, remedy

WhisperT = TypeVar("WhisperT", bound=WhisperForConditionalGeneration)


def load_model(folder: Path, cls: type[WhisperT] = WhisperForConditionalGeneration) -> WhisperT:  # type: ignore[assignment]
    """The model in `folder` as a `cls`, in float32, whose encoder positions do not learn.

    They are sinusoids, and `from_pretrained` forgets that they are frozen: weight decay would move even unused rows.
    """
    logging.disable_progress_bar()  # of loading weights, which takes a second
    network = cls.from_pretrained(folder, dtype=torch.float32, use_safetensors=True)
    network.model.encoder.embed_positions.requires_grad_(False)
    return network


@contextmanager
def explained_writing(path: Path) -> Iterator[None]:
    """Turns what writing weights to `path` raises into `UserError`; a full disk has a class of its own there."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        existing = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
        free_mb = shutil.disk_usage(existing).free / 1e6
        reason = str(error).splitlines()[0]
        done = remedy(error) or "make room there"
        raise UserError(
            f"{path}: cannot be written ({reason}; {free_mb:.0f} MB were free); {done}, and run `dvc repro`"
        ) from error


def save(network: WhisperForConditionalGeneration, processor: WhisperProcessor, folder: Path) -> None:
    """Writes all that a checkpoint has. A processor saves one file of its own, which older tools do not read, so the
    feature extractor and the tokenizer are saved beside it. A generation config that names no task makes a plain
    transformers pipeline run in loops, so it is told to transcribe."""
    settings: Any = network.generation_config
    if getattr(settings, "is_multilingual", False) and not getattr(settings, "task", None):
        settings.task = "transcribe"
    with explained_writing(folder):
        network.save_pretrained(folder, max_shard_size="100GB")
        settings.save_pretrained(folder)
        for part in (processor, processor.feature_extractor, processor.tokenizer):
            part.save_pretrained(folder)
