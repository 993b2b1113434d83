"""A checkpoint's generation config and a batch's labels -> the tokens that stand before the text, checked.

Axis names: B batch, L labels, P tokens of the prefix.
"""

from pathlib import Path
from typing import Any

import torch

from asr.errors import UserError
from asr.models.whisper import WindowedWhisper


def check_generation_config(network: WindowedWhisper, folder: Path) -> None:
    """Raises `UserError` if it lacks what decoding needs; `folder` is where the network is from."""
    needed = ["no_timestamps_token_id", "decoder_start_token_id", "eos_token_id"]
    if is_multilingual(network):
        needed += ["lang_to_id", "task_to_id"]
    missing = [name for name in needed if getattr(network.generation_config, name, None) is None]
    if missing:
        raise UserError(
            f"{folder}: no {missing[0]} in generation_config.json; copy the file from the checkpoint it was tuned from"
        )


def is_multilingual(network: WindowedWhisper) -> bool:
    """As the generation config says; an old one says it by having languages."""
    settings = network.generation_config
    return bool(getattr(settings, "is_multilingual", hasattr(settings, "lang_to_id")))


def prefix_of(network: WindowedWhisper, inputs: torch.Tensor) -> torch.Tensor:
    """What of `inputs` (B, L), the decoder's in training, stands before the text: (B, P), a copy.

    Start, language and task where the checkpoint is multilingual, no timestamps. Raises `UserError` for anything else:
    the labels are of another checkpoint's tokenizer, or in a language that this one does not know.
    """
    settings: Any = network.generation_config
    known = [{settings.decoder_start_token_id}, {settings.no_timestamps_token_id}]
    if is_multilingual(network):
        known[1:1] = [set(settings.lang_to_id.values()), set(settings.task_to_id.values())]
    prefix = inputs[:, : len(known)].clone()
    for row in prefix.tolist():
        if len(row) < len(known) or any(token not in tokens for token, tokens in zip(row, known, strict=True)):
            raise UserError(
                f"labels that start with {row} instead of tokens of model.checkpoint: the features were made for "
                "another checkpoint; run `dvc repro`"
            )
    return prefix
