"""A checkpoint in torch, at its own encoder window -> what it hears, as the evaluation decodes it.

Axis names: B batch, T frames, M mel bins, P tokens of the prefix.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from asr.evaluate.decode import Clips, Listener, decode_clips, encoded
from asr.evaluate.prompts import is_multilingual
from asr.evaluate.search import LookedUp, cache_of, look_up
from asr.models.whisper import trained_window_s
from asr.transcription.engine import ENGLISH, Heard
from asr.transcription.timing import time_tokens
from asr.transcription.words import split_into_words


@dataclass(frozen=True)
class Encoded:
    """Windows (B, M, T), what the encoder `heard` in them (B, T / 2, width), and what the decoder looks up in that."""

    features: torch.Tensor
    heard: torch.Tensor
    looked_up: LookedUp


class TorchEngine:
    def __init__(self, folder: Path, precision: str = "auto") -> None:
        """Raises `UserError` for a checkpoint without a complete generation config."""
        self._listener = Listener.of(folder, precision)
        self._network = self._listener.network
        self._settings = cast(Any, self._network.generation_config)
        self.n_mels = self._network.config.num_mel_bins
        self.window_s = trained_window_s(folder)
        self.languages: Sequence[str] = [ENGLISH]
        self.language: str | None = ENGLISH
        if is_multilingual(self._network):
            self.languages = [name.strip("<|>") for name in self._settings.lang_to_id]
            asked = getattr(self._settings, "language", None)
            self.language = asked and asked.strip("<|>")

    @torch.inference_mode()
    def encode(self, features: NDArray[np.float32]) -> Encoded:
        on_device = torch.from_numpy(features).to(self._network.device)
        heard = encoded(self._network, on_device, self._listener.dtype)
        return Encoded(on_device, heard, look_up(self._network, heard))

    @torch.inference_mode()
    def detect(self, encoded: Encoded) -> NDArray[np.float64]:
        heard = encoded.heard
        start = torch.full((len(heard), 1), self._settings.decoder_start_token_id, device=heard.device)
        state = self._network.model.decoder(
            input_ids=start, encoder_hidden_states=heard, past_key_values=cache_of(encoded.looked_up), use_cache=True
        )
        scores = self._network.proj_out(state.last_hidden_state[:, -1])
        known = list(self._settings.lang_to_id.values())
        shares: NDArray[np.float64] = scores[:, known].double().softmax(dim=-1).cpu().numpy()
        return shares

    def hear(
        self, encoded: Encoded, n_frames: Sequence[int], languages: Sequence[str], keys: Sequence[str]
    ) -> list[Heard]:
        heard, looked_up = encoded.heard, encoded.looked_up
        prefix = torch.tensor([self._prefix(language) for language in languages], device=heard.device)
        found = decode_clips(
            self._network, Clips(keys, encoded.features, heard, prefix, torch.tensor(n_frames), looked_up)
        )
        timed = time_tokens(self._network, heard, looked_up, prefix, found, n_frames)
        return [Heard(tokens, times) for tokens, times in zip(found, timed, strict=True)]

    def words(self, tokens: Sequence[int], language: str) -> list[tuple[str, list[int]]]:
        return split_into_words(self._listener.tokenizer, tokens, language)

    def _prefix(self, language: str) -> list[int]:
        settings = self._settings
        middle = []
        if is_multilingual(self._network):
            middle = [settings.lang_to_id[f"<|{language}|>"], settings.task_to_id["transcribe"]]
        return [settings.decoder_start_token_id, *middle, settings.no_timestamps_token_id]
