"""The base checkpoint and the tuned one -> the LoRA adapter between them, alone: a few MB instead of all weights.

What LoRA has learnt is a matrix of low rank for each of its modules, so that it is found again, exactly but for
rounding, in what the tuned weights have more than the base's: their singular value decomposition (Eckart and Young
1936). That holds for means over several looks and with `train.keep_base` too, which no saved adapter would.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import WhisperForConditionalGeneration

from asr.errors import UserError
from asr.models.checkpoints import explained_writing, load_model

PREFIX = "base_model.model."  # of peft's names
ROUNDING = 1e-5  # of a module's largest singular value


def write_adapter(base: Path, model: Path, folder: Path, base_name: str, modules: list[str]) -> int:
    """In peft's format, for `base_name`; its rank. Raises `UserError` where other weights have changed too."""
    before, after = (load_model(path, WhisperForConditionalGeneration).state_dict() for path in (base, model))
    factors: dict[str, torch.Tensor] = {}
    deltas = dict(_deltas(before, after, modules))
    found = {name: torch.linalg.svd(delta.double(), full_matrices=False) for name, delta in deltas.items()}
    floors = {name: _noise(before[f"{name}.weight"]) for name in found}
    rank = max(int((found[name][1] > max(ROUNDING * found[name][1][0], floors[name])).sum()) for name in found)
    for name, (left, values, right) in found.items():
        root = values[:rank].sqrt()
        factors[f"{PREFIX}{name}.lora_A.weight"] = (root[:, None] * right[:rank]).float().contiguous()
        factors[f"{PREFIX}{name}.lora_B.weight"] = (left[:, :rank] * root).float().contiguous()
    settings = {
        "peft_type": "LORA",
        "base_model_name_or_path": base_name,
        "r": rank,
        "lora_alpha": rank,  # a scale of 1
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": sorted(found),
        "task_type": None,
        "inference_mode": True,
    }
    folder.mkdir(parents=True, exist_ok=True)
    with explained_writing(folder):
        save_file(factors, folder / "adapter_model.safetensors", {"format": "pt"})
        (folder / "adapter_config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    return rank


def _noise(weight: torch.Tensor) -> float:
    """Singular values under this are of float32's rounding of the sum of weight and adapter."""
    return 4 * torch.finfo(torch.float32).eps * float(weight.abs().max()) * max(weight.shape) ** 0.5


def _deltas(
    before: dict[str, torch.Tensor], after: dict[str, torch.Tensor], modules: list[str]
) -> Iterator[tuple[str, torch.Tensor]]:
    """Of each module that has changed."""
    changed = [name for name, weight in after.items() if not torch.equal(weight, before[name])]
    foreign = [name for name in changed if name.split(".")[-2] not in modules or not name.endswith(".weight")]
    if foreign:
        raise UserError(
            f"export.formats has lora, but training has changed {foreign[0]} too, which no adapter holds; "
            "train with train.lora.rank above 0"
        )
    if not changed:
        raise UserError("export.formats has lora, but no weight differs from the base checkpoint's")
    for name in changed:
        yield name.removesuffix(".weight"), after[name] - before[name]
