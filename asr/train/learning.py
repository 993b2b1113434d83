"""A Whisper and the section `train` of params.yaml -> which of its weights learn, and the plain weights it amounts to.

Low-rank factors are peft's, injected in place: W x + (alpha / rank) B A x, where only A and B learn (Hu et al. 2021,
arXiv 2106.09685).
"""

from typing import Any

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import Linear as LoraLinear
from torch import nn
from transformers import WhisperForConditionalGeneration

from asr.models.whisper import WindowedWhisper
from asr.params import Lora, Train

ADAPTER = "default"


def prepare(network: WindowedWhisper, train: Train) -> None:
    """Sets in place what learns, as `train` says: LoRA, `freeze_encoder`, `activation_checkpointing`.

    The factors start from torch's generator, which the caller seeds. The encoder's positions stay as they are. A frozen
    encoder takes no part in backward, and never drops anything out.
    """
    # What a checkpoint brings from its own training would come on top of what is declared, drawn without our seed.
    network.config.apply_spec_augment = False
    network.model.encoder.layerdrop = network.model.decoder.layerdrop = 0.0
    if train.lora.rank:
        _inject(network, train.lora, "decoder" if train.freeze_encoder else "(encoder|decoder)")
    if train.freeze_encoder:
        network.model.encoder.requires_grad_(False)
        network.model.encoder.register_forward_pre_hook(_stay_in_eval_mode)
    if train.activation_checkpointing:
        network.model.encoder.register_forward_pre_hook(_without_cache, with_kwargs=True)
        # What is computed again is a layer, inside of which nothing asks for the window.
        network.activation_checkpointing_enable({"use_reentrant": False})


def _inject(network: WindowedWhisper, lora: Lora, parts: str) -> None:
    """Low-rank factors beside the chosen matrices of these parts of the model; all else is frozen."""
    adapter = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,  # type: ignore[arg-type]  # it only divides it by the rank
        lora_dropout=lora.dropout,
        target_modules=rf"model\.{parts}\..*\.({'|'.join(lora.modules)})",
    )
    inject_adapter_in_model(adapter, network, ADAPTER)


def _stay_in_eval_mode(encoder: nn.Module, _: Any) -> None:
    """The `train()` of the whole network wakes the dropout of its parts."""
    if encoder.training:
        encoder.eval()


def _without_cache(encoder: nn.Module, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """It has none, but takes the config's `use_cache` for its own, and then warns that it can't be."""
    return args, {**kwargs, "use_cache": False}


@torch.no_grad()
def merged_state(network: WhisperForConditionalGeneration) -> dict[str, torch.Tensor]:
    """The weights of the plain Whisper that `network` amounts to, float32 on the CPU: what `save_pretrained` would
    write of it, so without the head, which is tied to the embedding.

    LoRA is folded in; `network` itself stays as it is, and goes on learning. On the CPU, what is not folded is
    the network's own memory, not a copy.
    """
    tied = network.all_tied_weights_keys
    state = {
        name.replace(".base_layer.", "."): weight.detach().float().cpu().contiguous()
        for name, weight in network.state_dict().items()
        if ".lora_" not in name and name not in tied
    }
    for name, module in network.named_modules():
        if isinstance(module, LoraLinear):
            weight = f"{name}.weight"
            state[weight] = state[weight] + module.get_delta_weight(ADAPTER).float().cpu()
    return state
