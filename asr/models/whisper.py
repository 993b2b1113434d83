"""Log-Mel windows of 1 to 30 seconds -> Whisper, which is otherwise transformers' own, with the same state dict.

Whisper pays for 30 s whatever the clip's length. Its encoder positions are absolute, so that a shorter input simply
uses fewer of them. Axis names: B batch, T frames, M mel bins.
"""

import functools
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import WhisperForConditionalGeneration

from asr.features import FRAMES_PER_SECOND, MAX_FRAMES

MAX_WINDOW_S = MAX_FRAMES // FRAMES_PER_SECOND
WINDOW_STEP_S = 5
EDGE_FRAMES = 2  # of a trimmed clip: past its ceil(n_samples / 160) own frames, where the transform smears its end
FRAMES_PER_POSITION = 2  # the stride of the encoder's second convolution


def window_frames(n_frames: int, window_s: int) -> int:
    """The frames of the encoder window that a clip of `n_frames` is padded to; it depends on the clip alone.

    The smallest of `window_s`, `window_s` + 5, ... 30 seconds that holds the clip; for `window_s` = 0 its own length in
    whole seconds. The two frames past the end of an exactly full clip do not count, and are dropped by the padding.
    """
    own_s = max(1, math.ceil((n_frames - EDGE_FRAMES) / FRAMES_PER_SECOND))
    if window_s == 0:
        bucket_s = own_s
    else:
        n_steps = max(0, math.ceil((own_s - window_s) / WINDOW_STEP_S))
        bucket_s = window_s + WINDOW_STEP_S * n_steps
    return min(bucket_s, MAX_WINDOW_S) * FRAMES_PER_SECOND


def trained_window_s(folder: Path) -> int:
    """The `model.window_s` that the checkpoint in `folder` was trained at; one from elsewhere was trained at 30 s."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return int(config.get("encoder_window_s", MAX_WINDOW_S))


class WindowedWhisper(WhisperForConditionalGeneration):
    """Whisper that takes `input_features` (B, M, T) with any even T up to 3,000, in `forward` and in `generate`.

    At 3,000 frames it is bit-equal to `WhisperForConditionalGeneration`. Save it outside of both calls only: a
    config that was saved with a shortened encoder does not load. Not for use from several threads at once.
    """

    # Trainer would conclude from forward's **kwargs that the model scales its own loss, which it does not.
    accepts_loss_kwargs = False
    # It is tied to the embeddings; Trainer would warn that a checkpoint from which it goes on has not got it.
    _keys_to_ignore_on_save = ["proj_out.weight"]  # noqa: RUF012

    # `wraps` keeps the signature, which `generate` inspects to learn what the model takes.
    @functools.wraps(WhisperForConditionalGeneration.forward)
    def forward(  # type: ignore[override]
        self,
        input_features: torch.Tensor | None = None,
        *args: Any,
        scored: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> Any:
        """As transformers' own; with `scored` (B, L), bool, the logits (N, vocabulary) of these N positions alone."""
        with self.window_of(input_features):
            if scored is None:
                return super().forward(input_features, *args, **kwargs)
            return self.proj_out(self.model(input_features, *args, **kwargs).last_hidden_state[scored])

    def generate(self, input_features: torch.Tensor | None = None, **kwargs: Any) -> Any:  # type: ignore[override]
        with self.window_of(input_features):
            return super().generate(input_features, **kwargs)

    @contextmanager
    def window_of(self, input_features: torch.Tensor | None) -> Iterator[None]:
        """Fits the encoder to the length of `input_features` (B, M, T) meanwhile; None leaves it as it is.

        The encoder demands exactly `2 * config.max_source_positions` frames and then looks up the first
        `embed_positions.num_embeddings` positions. Only these two numbers change, never the table of positions.
        Raises `ValueError` for a T that is odd or longer than the table.
        """
        if input_features is None:
            yield
            return
        positions = self.model.encoder.embed_positions
        n_frames = input_features.shape[-1]
        n_positions, odd = divmod(n_frames, FRAMES_PER_POSITION)
        if odd or not 0 < n_positions <= len(positions.weight):
            longest = len(positions.weight) * FRAMES_PER_POSITION
            raise ValueError(f"input_features have {n_frames} frames; an even number up to {longest} is needed")
        before = self.config.max_source_positions, positions.num_embeddings
        self.config.max_source_positions = positions.num_embeddings = n_positions
        try:
            yield
        finally:
            self.config.max_source_positions, positions.num_embeddings = before
