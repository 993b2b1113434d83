"""What a decoder attended to while it wrote -> when each token was said, and how sure the model was of it.

The method of openai/whisper's timing.py: the heads that are known to follow the sound (the generation config's
`alignment_heads`) say for each token how much it drew on each moment, and the cheapest way through all of them in order
(dynamic time warping) says when it began. Axis names: B batch, H heads, L tokens, P prefix, T positions of the encoder.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers.models.whisper.generation_whisper import _median_filter

from asr.evaluate.search import LookedUp, cache_of, end_tokens
from asr.features import FRAMES_PER_SECOND
from asr.models.whisper import FRAMES_PER_POSITION, WindowedWhisper
from asr.transcription.engine import Timed
from asr.utterances import Seconds

SCORED_AT_ONCE = 128  # positions, each of which has a score for every token
POSITIONS_PER_SECOND = FRAMES_PER_SECOND / FRAMES_PER_POSITION


@torch.inference_mode()
def time_tokens(
    network: WindowedWhisper,
    heard: torch.Tensor,
    looked_up: LookedUp,
    prefix: torch.Tensor,
    found: Sequence[Sequence[int]],
    n_frames: Sequence[int],
) -> list[Timed]:
    """Of each clip: `heard` (B, T, width) the encoder's state, what the decoder has `looked_up` in it, `prefix` (B, P),
    the tokens `found` after it, and how many of its `n_frames` are its own."""
    first = prefix.shape[1] - 1  # the position that says the first token
    inputs = torch.full((len(found), first + 1 + max(map(len, found))), int(network.config.pad_token_id or 0))
    inputs[:, : first + 1] = prefix
    for row, tokens in enumerate(found):
        inputs[row, first + 1 : first + 1 + len(tokens)] = torch.tensor(tokens, dtype=torch.long)
    with _queries(network) as queries:
        states = network.model.decoder(
            input_ids=inputs.to(heard.device),
            encoder_hidden_states=heard,
            past_key_values=cache_of(looked_up),
            use_cache=True,
        ).last_hidden_state
    attention = _attention(network, looked_up, queries)
    confidences = _confidences(network, states[:, first:], found)
    timed = []
    for row, tokens in enumerate(found):
        n_positions = max(1, n_frames[row] // FRAMES_PER_POSITION)
        weights = attention[row, :, : first + 1 + len(tokens), :n_positions]
        timed.append(Timed(confidences[row], starts_of(network, weights, first) if tokens else [0.0]))
    return timed


def _confidences(network: WindowedWhisper, states: torch.Tensor, found: Sequence[Sequence[int]]) -> list[list[float]]:
    """What the model gave each token among those of text, from the decoder's `states` (B, L, width) that said them."""
    said = torch.cat([states[row, : len(tokens)] for row, tokens in enumerate(found)])
    tokens = torch.tensor([token for tokens in found for token in tokens], dtype=torch.long, device=said.device)
    n_text = max([min(end_tokens(network)), *(token + 1 for token in tokens.tolist())])  # the end and commands follow
    shares = [
        network.proj_out(some)[:, :n_text].log_softmax(dim=-1).gather(1, chosen[:, None])[:, 0].exp()
        for some, chosen in zip(said.split(SCORED_AT_ONCE), tokens.split(SCORED_AT_ONCE), strict=True)
    ]
    of_all = torch.cat(shares).tolist()
    ends = list(accumulate(map(len, found)))
    return [of_all[end - len(tokens) : end] for end, tokens in zip(ends, found, strict=True)]


def heads_of(network: WindowedWhisper) -> list[tuple[int, int]]:
    """Layer and head of those that follow the sound; all of the upper half where nobody has looked, as openai/whisper
    has it."""
    known = getattr(network.generation_config, "alignment_heads", None)
    config = network.config
    upper = range(config.decoder_layers // 2, config.decoder_layers)
    return (
        [(layer, head) for layer, head in known]
        if known
        else [(layer, head) for layer in upper for head in range(config.decoder_attention_heads)]
    )


@contextmanager
def _queries(network: WindowedWhisper) -> Iterator[dict[int, torch.Tensor]]:
    """What each layer of the decoder that has such heads asks the encoder's state, (B, L, width), when it has run."""
    asked: dict[int, torch.Tensor] = {}

    def note(layer: int) -> Callable[..., None]:
        def hook(module: Any, positional: tuple[Any, ...], named: dict[str, Any]) -> None:
            asked[layer] = module.q_proj(named["hidden_states"] if "hidden_states" in named else positional[0])

        return hook

    modules: Any = {layer: network.model.decoder.layers[layer].encoder_attn for layer, _ in heads_of(network)}
    hooks = [module.register_forward_pre_hook(note(n), with_kwargs=True) for n, module in modules.items()]
    try:
        yield asked
    finally:
        for hook in hooks:
            hook.remove()


def _attention(network: WindowedWhisper, looked_up: LookedUp, queries: dict[int, torch.Tensor]) -> torch.Tensor:
    """(B, H, L, T): what each of the heads that follow the sound looked at."""
    weights = []
    for layer, head in heads_of(network):
        module: Any = network.model.decoder.layers[layer].encoder_attn
        own = slice(head * module.head_dim, (head + 1) * module.head_dim)
        keys, _ = looked_up[layer]
        scores = queries[layer][:, :, own] @ keys[:, head].transpose(1, 2) * module.scaling
        weights.append(scores.softmax(dim=-1))
    return torch.stack(weights, dim=1)


def starts_of(network: WindowedWhisper, weights: torch.Tensor, first: int) -> list[Seconds]:
    """When each token from the one that position `first` says began, and when the last ended, from `weights` (H, L, T)
    of all positions."""
    spread, mean = torch.std_mean(weights, dim=-2, keepdim=True, unbiased=False)
    smooth = _median_filter((weights - mean) / spread.clamp(min=1e-12), network.config.median_filter_width)
    cost = -smooth.mean(dim=0)[first:].cpu().double().numpy()
    return (entries(cost) / POSITIONS_PER_SECOND).tolist()


def entries(cost: NDArray[np.float64]) -> NDArray[np.int64]:
    """The column where the cheapest way through `cost` (L, T), from its first corner to its last by steps right, down
    or both, enters each row.

    The cheapest way to a cell of a row is to enter the row at some column and go right from there, so that a row is a
    minimum of running sums.
    """
    n_rows, n_columns = cost.shape
    columns = np.arange(n_columns)
    entered = np.zeros((n_rows, n_columns), np.int64)  # where the way to each cell has entered its row
    came = np.zeros((n_rows, n_columns), np.int64)  # and from which column of the row above
    above = np.full(n_columns, np.inf)  # costs of the ways to the row above
    for row in range(n_rows):
        diagonal = np.concatenate(([np.inf if row else 0.0], above[:-1]))
        came[row] = columns - (diagonal < above)
        sums = np.concatenate(([0.0], np.cumsum(cost[row])))
        gains = np.minimum(diagonal, above) - sums[:-1]
        best = np.minimum.accumulate(gains)
        entered[row] = np.maximum.accumulate(np.where(gains == best, columns, 0))
        above = best + sums[1:]
    found, column = np.zeros(n_rows, np.int64), n_columns - 1
    for row in reversed(range(n_rows)):
        found[row] = entered[row, column]
        column = came[row, found[row]]
    return found
