"""A checkpoint in CTranslate2 (extra `ctranslate2`), at its own encoder window -> what it hears.

Faster than torch on a processor, in int8 with a few other words: docs/using.md says how many.
"""

import json
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from logging import ERROR
from pathlib import Path

import ctranslate2
import numpy as np
import torch
from ctranslate2.converters import TransformersConverter
from numpy.typing import NDArray
from transformers import WhisperTokenizer
from transformers.utils import logging

from asr.errors import UserError
from asr.evaluate.loops import MIN_NEW_TOKENS, NEW_TOKENS_PER_SECOND, ran_away, without_loop
from asr.features import FRAMES_PER_SECOND
from asr.models.whisper import trained_window_s
from asr.transcription.engine import ENGLISH, Heard, Timed
from asr.transcription.words import split_into_words
from asr.utterances import Seconds

CONVERTED = "model.bin"  # in a folder that CTranslate2's converter has written
SECONDS_PER_POSITION = 2 / FRAMES_PER_SECOND
MAX_LENGTH = 448  # positions of Whisper's decoder


class CTranslate2Engine:
    def __init__(self, folder: Path, precision: str = "auto") -> None:
        """`folder` is a checkpoint, which is converted first, or one that has been; `precision` a compute type of
        CTranslate2's, or the best float one (`auto`)."""
        ctranslate2.set_log_level(ERROR)  # it warns of weights that it computes in another dtype
        compute_type = {"auto": "default", "bf16": "bfloat16"}.get(precision, precision)
        tokenizer = WhisperTokenizer.from_pretrained(folder)
        self._tokenizer = tokenizer
        self.window_s = trained_window_s(folder)
        with tempfile.TemporaryDirectory() as temporary:
            converted = folder
            if not (folder / CONVERTED).exists():
                converted = Path(temporary) / "model"
                logging.disable_progress_bar()
                TransformersConverter(str(folder)).convert(str(converted))
            try:
                # As many threads as torch has: it sets them for both of them, of whichever it is told.
                n_threads = torch.get_num_threads()
                self._whisper = ctranslate2.models.Whisper(
                    str(converted), device="auto", compute_type=compute_type, intra_threads=n_threads
                )
            except (RuntimeError, ValueError) as error:
                raise UserError(f"{folder}: CTranslate2 cannot load it as {compute_type}: {error}") from None
        self.n_mels = self._whisper.n_mels
        self.languages: Sequence[str] = [ENGLISH]
        self.language: str | None = ENGLISH
        if self._whisper.is_multilingual:
            known = json.loads((folder / "generation_config.json").read_text(encoding="utf-8"))
            self.languages = [name.strip("<|>") for name in known["lang_to_id"]]
            asked = known.get("language")
            self.language = asked and asked.strip("<|>")

    def encode(self, features: NDArray[np.float32]) -> ctranslate2.StorageView:
        found = ctranslate2.StorageView.from_array(np.ascontiguousarray(features))
        return self._whisper.encode(found, to_cpu=True)  # rows of it are taken there

    def detect(self, encoded: ctranslate2.StorageView) -> NDArray[np.float64]:
        found = [dict(pairs) for pairs in self._whisper.detect_language(encoded)]
        return np.array([[of.get(f"<|{name}|>", 0.0) for name in self.languages] for of in found])

    def hear(
        self, encoded: ctranslate2.StorageView, n_frames: Sequence[int], languages: Sequence[str], keys: Sequence[str]
    ) -> list[Heard]:
        prompts = [self._prompt(language) for language in languages]
        tokens = self.decode(encoded, prompts, n_frames)
        timed = self._timed(encoded, n_frames, languages, tokens)
        return [Heard(*both) for both in zip(tokens, timed, strict=True)]

    def decode(
        self, encoded: ctranslate2.StorageView, prompts: Sequence[list[int]], n_frames: Sequence[int], beams: int = 1
    ) -> list[list[int]]:
        """The new tokens of each window, after its prompt."""
        bounds = [MIN_NEW_TOKENS + int(NEW_TOKENS_PER_SECOND * frames / FRAMES_PER_SECOND) for frames in n_frames]
        longest = min(MAX_LENGTH, max(bounds) + len(prompts[0]))
        found = self._whisper.generate(encoded, list(prompts), beam_size=beams, max_length=longest)
        return [_ended(list(of.sequences_ids[0]), bound) for of, bound in zip(found, bounds, strict=True)]

    def detected(self, encoded: ctranslate2.StorageView) -> list[list[int]]:
        """Prompts with the likeliest language of each window."""
        return [self._prompt(self.languages[int(row.argmax())]) for row in self.detect(encoded)]

    def prompts_of(self, labels: Sequence[Sequence[int]]) -> list[list[int]]:
        """What of label sequences stands before the text."""
        n_prefix = 4 if self._whisper.is_multilingual else 2
        return [list(sequence[:n_prefix]) for sequence in labels]

    def text(self, tokens: Sequence[int]) -> str:
        return str(self._tokenizer.decode(list(tokens), skip_special_tokens=True)).strip()

    def words(self, tokens: Sequence[int], language: str) -> list[tuple[str, list[int]]]:
        return split_into_words(self._tokenizer, tokens, language)

    def _prompt(self, language: str) -> list[int]:
        middle = [f"<|{language}|>", "<|transcribe|>"] if self._whisper.is_multilingual else []
        ids = self._tokenizer.convert_tokens_to_ids(["<|startoftranscript|>", *middle, "<|notimestamps|>"])
        return list(ids)

    def _timed(
        self,
        encoded: ctranslate2.StorageView,
        n_frames: Sequence[int],
        languages: Sequence[str],
        found: Sequence[list[int]],
    ) -> list[Timed]:
        """Its own alignment, which takes one language at a time."""
        timed = [Timed([], [0.0]) for _ in found]
        of_languages: dict[str, list[int]] = defaultdict(list)
        for row, tokens in enumerate(found):
            if tokens:
                of_languages[languages[row]].append(row)
        for language, rows in of_languages.items():
            start = self._prompt(language)[:-1]  # it adds <|notimestamps|> itself
            frames = [max(2, n_frames[row]) for row in rows]
            some = ctranslate2.StorageView.from_array(np.ascontiguousarray(np.array(encoded)[rows]))
            for row, aligned in zip(
                rows, self._whisper.align(some, start, [found[row] for row in rows], frames), strict=True
            ):
                starts: dict[int, Seconds] = {}
                for token, position in aligned.alignments:
                    starts.setdefault(token, position * SECONDS_PER_POSITION)
                n_tokens = len(found[row])
                last_s = n_frames[row] / FRAMES_PER_SECOND
                starts_s = [starts.get(token, last_s) for token in range(n_tokens + 1)]
                timed[row] = Timed(list(aligned.text_token_probs), starts_s)
        return timed


def _ended(tokens: list[int], bound: int) -> list[int]:
    """Without the loop that they may end in."""
    return without_loop(tokens) if ran_away(tokens, bound) else tokens
