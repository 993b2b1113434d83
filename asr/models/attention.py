"""A window and a device -> the name of the attention that is fastest there, as `set_attn_implementation` takes it.

Axis names: B batch, H heads, P positions, D width of a head.
"""

from typing import Any

import torch
import torch.nn.functional as F
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import eager_mask

PLAIN = "plain"


def attention_for(window_s: int, device: torch.device) -> str:
    """On a processor, plain matrices beat SDPA by a tenth up to 10 s windows, and lose by more than a third at 30 s."""
    return PLAIN if device.type == "cpu" and 0 < window_s <= 10 else "sdpa"


def plain(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float = 1.0,
    dropout: float = 0.0,
    **kwargs: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Whisper's own `eager` attention, bit for bit, of `query`, `key` and `value` (B, H, P, D).

    It multiplies all (B, H, P, P) scores by its scale, which for Whisper is 1: this does not.
    """
    scores = query @ key.transpose(2, 3)
    if scaling != 1.0:
        scores = scores * scaling
    if attention_mask is not None:
        scores = scores + attention_mask
    weights = F.dropout(scores.softmax(dim=-1), p=dropout, training=module.training)
    return (weights @ value).transpose(1, 2).contiguous(), weights


AttentionInterface.register(PLAIN, plain)
AttentionMaskInterface.register(PLAIN, eager_mask)
