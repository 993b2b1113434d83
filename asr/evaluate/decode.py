"""A checkpoint and the shards -> what the checkpoint hears in each clip of a split, decoded in batches.

The encoder may compute in bf16; the decoder, which decides near ties between tokens, computes in float32. A clip that
runs away, in a loop or past all that its duration can hold, is heard a second time, by sampling.
Axis names: B batch, T frames, M mel bins, P tokens of the prefix.
"""

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import WhisperTokenizer
from transformers.modeling_outputs import BaseModelOutput

from asr.errors import UserError
from asr.evaluate.loops import MIN_NEW_TOKENS, NEW_TOKENS_PER_SECOND, ran_away, without_loop
from asr.evaluate.prompts import check_generation_config, is_multilingual, prefix_of
from asr.evaluate.search import LookedUp, beam, greedy, sampled
from asr.features import FRAMES_PER_SECOND
from asr.loading.batches import Batch, EpochBatches
from asr.models import checkpoints
from asr.models.attention import PLAIN
from asr.models.device import autocast, best_device, keep_freed_memory, resolve_precision
from asr.models.whisper import WindowedWhisper
from asr.progress import track
from asr.shards import hours

BATCH_SIZE = 16
# By a processor, which is no faster with more; the attention to a clip of 30 s holds 72 MB in base, more in others.
ENCODED_AT_ONCE = 2
# Whisper's own fallback goes up in steps of 0.2; at 0.2 a loop met on real clips stays, from 0.4 on it ends.
RETRY_TEMPERATURE = 0.6
FROM_ROWS, DETECT = "row", "detect"
# What a generation config may ask for that `greedy` does not do, and how it says that it does not ask.
BEYOND_GREEDY = {"repetition_penalty": 1.0, "no_repeat_ngram_size": 0, "encoder_no_repeat_ngram_size": 0}


@dataclass(frozen=True, slots=True)
class Heard:
    """What a checkpoint heard in a split: hypotheses by the clips' ids, and what `decode_batch` counts.

    It took `seconds`, reading the clips included and loading the checkpoint not, for `audio_s` seconds of sound.
    """

    hypotheses: dict[str, str]
    counts: Counter[str]
    seconds: float
    audio_s: float


def transcribe(
    folder_of_checkpoint: Path,
    features: Path,
    split: str,
    window_s: int,
    precision: str,
    description: str,
    *,
    beams: int = 1,
    language: str = FROM_ROWS,
) -> Heard:
    """What is heard in each clip of `split`, as the model writes it.

    `window_s` as in params.yaml (30: Whisper's own); `precision`, the encoder's: auto, bf16 or float32; `description`
    stands beside the progress; the rest as in `decode_batch`. Raises `UserError` for a checkpoint that the features
    were not made for, that lacks a complete generation config, or that cannot detect a language.
    """
    listener = Listener.of(folder_of_checkpoint, precision)
    if language == DETECT and not is_multilingual(listener.network):
        raise UserError(f"{folder_of_checkpoint} knows English only; it cannot detect the language of a clip")
    batches = listener.batches(features, split, window_s)
    counts: Counter[str] = Counter()
    began_s = time.perf_counter()
    hypotheses = listener.hear(
        track(batches, description, total=len(batches)), beams=beams, language=language, counts=counts
    )
    seconds = time.perf_counter() - began_s
    return Heard(hypotheses, counts, seconds, hours(features, split) * 3600)


@dataclass(frozen=True)
class Listener:
    """A loaded checkpoint; its encoder computes in `dtype`."""

    network: WindowedWhisper
    tokenizer: WhisperTokenizer
    dtype: torch.dtype

    @classmethod
    def of(cls, folder: Path, precision: str) -> Self:
        """Raises `UserError` for a checkpoint without a complete generation config."""
        keep_freed_memory()
        dtype = resolve_precision(precision)
        return cls(load(folder, dtype), WhisperTokenizer.from_pretrained(folder), dtype)

    def batches(
        self, features: Path, split: str, window_s: int, weights: NDArray[np.float64] | None = None
    ) -> EpochBatches:
        """The clips of a split, of like length together; those whose weight is 0 are left out."""
        pad_id = self.network.config.pad_token_id
        assert isinstance(pad_id, int)
        return EpochBatches(features, split, batch_size=BATCH_SIZE, window_s=window_s, pad_id=pad_id, weights=weights)

    def hear(
        self,
        batches: Iterable[Batch],
        *,
        beams: int = 1,
        language: str = FROM_ROWS,
        counts: Counter[str] | None = None,
    ) -> dict[str, str]:
        """Hypotheses by the clips' ids; the rest as in `decode_batch`."""
        hypotheses: dict[str, str] = {}
        for batch in batches:
            tokens = decode_batch(self.network, batch, self.dtype, beams=beams, language=language, counts=counts)
            texts = self.tokenizer.batch_decode(tokens, skip_special_tokens=True)
            hypotheses |= dict(zip(batch["ids"], (text.strip() for text in texts), strict=True))
        return hypotheses


def load(folder: Path, dtype: torch.dtype) -> WindowedWhisper:
    """The checkpoint on the best device, ready to decode, with the attention that is fastest for an encoder in `dtype`.

    On a processor, plain matrices take two thirds of SDPA's time in bf16 at any window, and up to half more in float32.
    Raises `UserError` for one without a complete generation config.
    """
    network = checkpoints.load_model(folder, WindowedWhisper).eval()
    check_generation_config(network, folder)
    device = best_device()
    network.set_attn_implementation(PLAIN if device.type == "cpu" and dtype == torch.bfloat16 else "sdpa")
    return network.to(device)


@torch.inference_mode()
def decode_batch(
    network: WindowedWhisper,
    batch: Batch,
    dtype: torch.dtype,
    *,
    beams: int = 1,
    language: str = FROM_ROWS,
    counts: Counter[str] | None = None,
) -> list[list[int]]:
    """The new tokens of each clip of a batch of `EpochBatches`, without prefix and end.

    `beams`: 1 decodes greedily. `language`: `row`, that of a clip's labels, or `detect`, the likeliest to Whisper.
    Adds to `counts`: `clips`; `loops`, those that ran away; `retries_that_helped`; `other_language`, those detected
    otherwise than the row says. Raises `UserError` for labels of another tokenizer.
    """
    features = batch["input_features"].to(network.device)
    heard = encoded(network, features, dtype)
    counts = Counter() if counts is None else counts
    prefix = prefix_of(network, batch["decoder_input_ids"]).to(network.device)
    if language == DETECT:
        detected = network.detect_language(encoder_outputs=BaseModelOutput(heard.float()))
        counts["other_language"] += int((detected != prefix[:, 1]).sum())
        prefix[:, 1] = detected
    clips = Clips(batch["ids"], features, heard, prefix, batch["n_frames"])
    return decode_clips(network, clips, beams=beams, counts=counts)


@dataclass(frozen=True)
class Clips:
    """What is decoded together: `features` (B, M, T), what the encoder `heard` in them (B, T / 2, width), the `prefix`
    (B, P) of each, how many of its frames are its own, (B,), and what `look_up` finds in `heard`, if that is known."""

    ids: Sequence[str]
    features: torch.Tensor
    heard: torch.Tensor
    prefix: torch.Tensor
    n_frames: torch.Tensor
    looked_up: LookedUp | None = None


@torch.inference_mode()
def decode_clips(
    network: WindowedWhisper, clips: Clips, *, beams: int = 1, counts: Counter[str] | None = None
) -> list[list[int]]:
    """As `decode_batch`, from the encoder's state on."""
    counts = Counter() if counts is None else counts
    counts["clips"] += len(clips.ids)
    bounds = (MIN_NEW_TOKENS + NEW_TOKENS_PER_SECOND * clips.n_frames / FRAMES_PER_SECOND).long()
    bounds = bounds.clamp(max=network.config.max_target_positions - clips.prefix.shape[1])
    if beams > 1 or _asks_for_more_than_greedy(network):
        found = beam(network, clips.features, clips.heard, clips.prefix, bounds, beams)
    else:
        found = greedy(network, clips.heard, clips.prefix, bounds, clips.looked_up)
    return _retried(network, clips.heard, clips.prefix, bounds, found, clips.ids, counts)


@torch.inference_mode()
def encoded(network: WindowedWhisper, features: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """The encoder's last state, (B, T / 2, width)."""
    n_at_once = ENCODED_AT_ONCE if features.device.type == "cpu" else len(features)
    with network.window_of(features), autocast(network.device, dtype):
        parts = [network.model.encoder(part).last_hidden_state.to(dtype) for part in features.split(n_at_once)]
    return torch.cat(parts)


def _retried(
    network: WindowedWhisper,
    heard: torch.Tensor,
    prefix: torch.Tensor,
    bounds: torch.Tensor,
    found: list[list[int]],
    ids: Sequence[str],
    counts: Counter[str],
) -> list[list[int]]:
    """`found`, but for clips that ran away: what sampling hears in them if that ends, else the loop's first unit alone.

    Seeded by the clip's id, so that neither its batch mates nor their order matter.
    """
    limits = bounds.tolist()
    rows = [row for row, tokens in enumerate(found) if ran_away(tokens, limits[row])]
    counts["loops"] += len(rows)
    if not rows:
        return found
    seeds = [int.from_bytes(blake2b(ids[row].encode(), digest_size=4).digest()) for row in rows]
    again = sampled(network, heard[rows], prefix[rows], bounds[rows], RETRY_TEMPERATURE, seeds)
    kept = list(found)
    for row, tokens in zip(rows, again, strict=True):
        ended = not ran_away(tokens, limits[row])
        counts["retries_that_helped"] += ended
        kept[row] = tokens if ended else without_loop(found[row])
    return kept


def _asks_for_more_than_greedy(network: WindowedWhisper) -> bool:
    settings = network.generation_config
    return any(getattr(settings, name, None) not in (None, idle) for name, idle in BEYOND_GREEDY.items())
