"""A checkpoint and the shards -> what the checkpoint hears in each clip of a split, by greedy decoding in batches.

The encoder may compute in bf16; the decoder, which decides near ties between tokens, computes in float32.
Axis names: B batch, T frames, M mel bins, P tokens of the prefix.
"""

from pathlib import Path

import torch
from transformers import WhisperTokenizer

from asr import checkpoints
from asr.batches import Batch, EpochBatches
from asr.device import attention_for, autocast, best_device, resolve_precision
from asr.features import FRAMES_PER_SECOND
from asr.progress import track
from asr.whisper import WindowedWhisper

BATCH_SIZE = 16
# The bound on what is heard in a clip: far over any transcript (those of 0.4 s clips in Cyrillic have up to 60 tokens
# a second, longer clips up to 25), so that only a decoder that repeats itself for ever meets it.
MIN_NEW_TOKENS = 32
NEW_TOKENS_PER_SECOND = 40
# Finished clips leave the batch as soon as they are a quarter of it: taking them out copies the others' caches.
COMPACT_BELOW = 0.75


def transcribe(
    folder_of_checkpoint: Path, features: Path, split: str, window_s: int, precision: str, description: str
) -> dict[str, str]:
    """The hypothesis for each clip of `split`, by its id, as the model writes it.

    `window_s` as in params.yaml (30: Whisper's own); `precision`, the encoder's: auto, bf16 or float32. The language
    of a clip is that of its labels; `description` stands beside the progress.
    """
    device = best_device()
    network = checkpoints.load_model(folder_of_checkpoint, WindowedWhisper).eval()
    network.to(device)
    network.set_attn_implementation(attention_for(window_s, device))
    tokenizer = WhisperTokenizer.from_pretrained(folder_of_checkpoint)
    pad_id = network.config.pad_token_id
    assert isinstance(pad_id, int)
    batches = EpochBatches(features, split, batch_size=BATCH_SIZE, window_s=window_s, pad_id=pad_id)
    dtype = resolve_precision(precision)
    hypotheses: dict[str, str] = {}
    for batch in track(batches, description, total=len(batches)):
        tokens = decode_batch(network, batch, dtype)
        texts = tokenizer.batch_decode(tokens, skip_special_tokens=True)
        hypotheses |= dict(zip(batch["ids"], (text.strip() for text in texts), strict=True))
    return hypotheses


@torch.inference_mode()
def decode_batch(network: WindowedWhisper, batch: Batch, dtype: torch.dtype) -> list[list[int]]:
    """The new tokens of each clip of a batch of `EpochBatches`, without prefix and end."""
    features = batch["input_features"].to(network.device)
    with network.window_of(features), autocast(network.device, dtype):
        heard = network.model.encoder(features).last_hidden_state.float()
    no_timestamps: int = network.generation_config.no_timestamps_token_id  # type: ignore[attr-defined]
    n_prefix = int((batch["decoder_input_ids"][0] == no_timestamps).nonzero()[0]) + 1
    prefix = batch["decoder_input_ids"][:, :n_prefix].to(network.device)
    seconds = batch["n_frames"] / FRAMES_PER_SECOND
    bounds = (MIN_NEW_TOKENS + NEW_TOKENS_PER_SECOND * seconds).long()
    return greedy(network, heard, prefix, bounds.clamp(max=network.config.max_target_positions - n_prefix))


def greedy(
    network: WindowedWhisper, heard: torch.Tensor, prefix: torch.Tensor, bounds: torch.Tensor
) -> list[list[int]]:
    """The likeliest token after the other, until the end token or the clip's bound: what `generate` returns.

    `heard` (B, T / 2, width) is the encoder's last state, `prefix` (B, P), `bounds` (B,) counts of new tokens. Takes
    finished clips out of the batch, so that one that repeats itself for ever costs little more than itself.
    """
    settings = network.generation_config
    found: list[list[int]] = [[] for _ in bounds]
    clips = list(range(len(bounds)))  # the clip in each row of the batch
    going = set(clips)
    tokens, cache = prefix, None
    while going:
        state = network.model.decoder(
            input_ids=tokens, encoder_hidden_states=heard, past_key_values=cache, use_cache=True
        )
        cache = state.past_key_values
        scores = network.proj_out(state.last_hidden_state[:, -1])
        scores[:, settings.suppress_tokens or []] = -torch.inf
        if tokens is prefix:
            scores[:, settings.begin_suppress_tokens or []] = -torch.inf
        tokens = scores.argmax(dim=-1, keepdim=True)
        for clip, token in zip(clips, tokens[:, 0].tolist(), strict=True):
            if clip not in going:
                continue
            if token != settings.eos_token_id:
                found[clip].append(token)
            if token == settings.eos_token_id or len(found[clip]) >= bounds[clip]:
                going.remove(clip)
        rows = [row for row, clip in enumerate(clips) if clip in going]
        if 0 < len(rows) <= COMPACT_BELOW * len(clips):
            kept = torch.tensor(rows, device=tokens.device)
            cache.batch_select_indices(kept)
            heard, tokens, clips = heard[kept], tokens[kept], [clips[row] for row in rows]
    return found
