"""What the encoder heard and the prefix of each clip -> the tokens that follow: greedy, sampled, or by beams.

Each search stops a clip at the end token, at its bound, or in a loop (`loops`); the end token is not returned, what
ran away is returned as far as it came. Axis names: B batch, T frames, P tokens of the prefix.
"""

from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import Any, TypeAlias

import torch
from transformers import DynamicCache, EncoderDecoderCache, StoppingCriteria, StoppingCriteriaList
from transformers.modeling_outputs import BaseModelOutput

from asr.evaluate.loops import ran_away
from asr.models.device import autocast
from asr.models.whisper import WindowedWhisper

# Finished clips leave the batch as soon as they are a quarter of it: taking them out copies the others' caches.
COMPACT_BELOW = 0.75
Choice = Callable[[torch.Tensor, Sequence[int]], torch.Tensor]  # scores (B, vocabulary), clips (B) -> tokens (B)
LookedUp: TypeAlias = Sequence[tuple[torch.Tensor, torch.Tensor]]  # keys and values of each layer, (B, H, T / 2, D)


def greedy(
    network: WindowedWhisper,
    heard: torch.Tensor,
    prefix: torch.Tensor,
    bounds: torch.Tensor,
    looked_up: LookedUp | None = None,
) -> list[list[int]]:
    """The likeliest token after the other: what `generate` returns.

    `heard` (B, T / 2, width) is the encoder's last state, in the dtype that it computed in; `prefix` (B, P); `bounds`
    (B,) counts of new tokens; `looked_up` what `look_up` finds in `heard`, if that is known.
    """
    return _search(network, heard, prefix, bounds, lambda scores, _: scores.argmax(dim=-1), looked_up)


def sampled(
    network: WindowedWhisper,
    heard: torch.Tensor,
    prefix: torch.Tensor,
    bounds: torch.Tensor,
    temperature: float,
    seeds: Sequence[int],
) -> list[list[int]]:
    """Tokens drawn by the softmax of the scores over `temperature`, each clip's from its own seed; else as `greedy`."""
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def draw(scores: torch.Tensor, clips: Sequence[int]) -> torch.Tensor:
        shares = (scores / temperature).softmax(dim=-1).cpu()
        drawn = [torch.multinomial(row, 1, generator=generators[c]) for row, c in zip(shares, clips, strict=True)]
        return torch.cat(drawn).to(scores.device)

    return _search(network, heard, prefix, bounds, draw)


def _search(
    network: WindowedWhisper,
    heard: torch.Tensor,
    prefix: torch.Tensor,
    bounds: torch.Tensor,
    choose: Choice,
    looked_up: LookedUp | None = None,
) -> list[list[int]]:
    """Takes finished clips out of the batch, so that a long one costs little more than itself."""
    settings = network.generation_config
    ends = end_tokens(network)
    found: list[list[int]] = [[] for _ in bounds]
    limits = bounds.tolist()
    clips = list(range(len(limits)))  # the clip in each row of the batch
    going = set(clips)
    tokens, cache = prefix, cache_of(looked_up or look_up(network, heard))
    while going:
        state = network.model.decoder(
            input_ids=tokens, encoder_hidden_states=heard, past_key_values=cache, use_cache=True
        )
        scores = network.proj_out(state.last_hidden_state[:, -1])
        scores[:, settings.suppress_tokens or []] = -torch.inf
        if tokens is prefix:
            scores[:, settings.begin_suppress_tokens or []] = -torch.inf
        tokens = choose(scores, clips)[:, None]
        for clip, token in zip(clips, tokens[:, 0].tolist(), strict=True):
            if clip not in going:
                continue
            if token not in ends:
                found[clip].append(token)
            if token in ends or ran_away(found[clip], limits[clip]):
                going.remove(clip)
        rows = [row for row, clip in enumerate(clips) if clip in going]
        if 0 < len(rows) <= COMPACT_BELOW * len(clips):
            kept = torch.tensor(rows, device=tokens.device)
            cache.batch_select_indices(kept)
            heard, tokens, clips = heard[kept], tokens[kept], [clips[row] for row in rows]
    return found


def look_up(network: WindowedWhisper, heard: torch.Tensor) -> LookedUp:
    """What each layer of the decoder looks up in `heard`: computed in its dtype, for this costs as much as all the
    decoder's steps on a short clip, and kept in float32."""
    found = []
    with autocast(heard.device, heard.dtype):
        for layer in network.model.decoder.layers:
            module = layer.encoder_attn
            shape = (*heard.shape[:2], module.num_heads, module.head_dim)
            keys, values = (part(heard).view(shape).transpose(1, 2) for part in (module.k_proj, module.v_proj))
            found.append((keys.float(), values.float()))
    return found


def cache_of(looked_up: LookedUp) -> EncoderDecoderCache:
    """As the decoder takes it; what a search does with it leaves `looked_up` as it is."""
    cache = DynamicCache()
    for number, (keys, values) in enumerate(looked_up):
        cache.update(keys, values, number)
    return EncoderDecoderCache(DynamicCache(), cache)


def beam(
    network: WindowedWhisper,
    features: torch.Tensor,
    heard: torch.Tensor,
    prefix: torch.Tensor,
    bounds: torch.Tensor,
    n_beams: int,
) -> list[list[int]]:
    """The best of `n_beams` by transformers' own `generate`, with all that the generation config says.

    `features` (B, M, T) tell it the window; it does not encode them again.
    """
    settings: Any = network.generation_config
    stop = _Runaway(prefix.shape[1], bounds.tolist())
    options: dict[str, Any] = {"num_beams": n_beams, "do_sample": False, "return_timestamps": False}
    if prefix.shape[1] > 2:  # of a multilingual checkpoint
        languages = {number: name for name, number in settings.lang_to_id.items()}
        tasks = {number: name for name, number in settings.task_to_id.items()}
        options |= {"language": [languages[number] for number in prefix[:, 1].tolist()]}
        options |= {"task": tasks[int(prefix[0, 2])]}
    with network.window_of(features):
        rows = network.generate(
            encoder_outputs=BaseModelOutput(heard.float()),
            attention_mask=torch.ones_like(features[:, 0], dtype=torch.long),  # without it generate warns
            max_length=network.config.max_target_positions,  # `stop` ends all before; `max_new_tokens` brings a warning
            stopping_criteria=StoppingCriteriaList([stop]),
            **options,
        )
    ends = end_tokens(network) | {settings.pad_token_id}
    return [list(takewhile(lambda token: token not in ends, row)) for row in rows.tolist()]


def end_tokens(network: WindowedWhisper) -> set[int]:
    """Whisper has one end, but transformers lets a generation config name several."""
    ends = network.generation_config.eos_token_id
    return set(ends) if isinstance(ends, list) else {ends}


class _Runaway(StoppingCriteria):
    """Ends a beam at its clip's bound, or in a loop."""

    def __init__(self, n_prefix: int, bounds: Sequence[int]) -> None:
        self.n_prefix, self.bounds = n_prefix, bounds

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        rows = input_ids[:, self.n_prefix :].tolist()
        n_each = len(rows) // len(self.bounds)
        ended = [ran_away(row, self.bounds[number // n_each]) for number, row in enumerate(rows)]
        return torch.tensor(ended, device=input_ids.device)
