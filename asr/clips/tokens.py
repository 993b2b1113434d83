"""Trained text -> label ids, by the tokenizer of the base checkpoint and nothing of transformers."""

import json
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from asr.errors import UserError
from asr.relatives import hint
from asr.storage import join, read_bytes

TOKENIZER, FRONT_END = "tokenizer.json", "front_end.json"


@dataclass(frozen=True)
class FrontEnd:
    """What the features need to know of a checkpoint, from its `front_end.json`."""

    n_mels: int
    multilingual: bool
    max_labels: int  # positions of the decoder

    @classmethod
    def read(cls, base: str | Path) -> "FrontEnd":
        return cls(**json.loads(read_bytes(join(base, FRONT_END))))


class Labeller:
    """Labels as Whisper was trained on them.

    `<|startoftranscript|><|xx|><|transcribe|><|notimestamps|> ... <|endoftext|>`, without language and task where the
    checkpoint is not multilingual. The start token is the first label here; the collator shifts it away.
    """

    def __init__(self, base: str | Path) -> None:
        """`base` is the folder or URI of `tokenizer.json` and `front_end.json`."""
        self.front_end = FrontEnd.read(base)
        self.tokenizer = Tokenizer.from_buffer(read_bytes(join(base, TOKENIZER)))
        self.tokenizer.encode_special_tokens = True  # "<|en|>" within a text is text, not a command
        self._end = self._id("<|endoftext|>")

    def labels(self, text: str, language: str) -> list[int]:
        """`(L,)` ids of a clip. Raises `UserError` for a language that the checkpoint does not know."""
        return self.prefix(language) + self.tokenizer.encode(text, add_special_tokens=False).ids + [self._end]

    def prefix(self, language: str) -> list[int]:
        """The ids before the text. Raises `UserError` for a language that the checkpoint does not know."""
        start, plain = self._id("<|startoftranscript|>"), self._id("<|notimestamps|>")
        if self.front_end.multilingual:
            return [start, self._language(language), self._id("<|transcribe|>"), plain]
        if language != "en":
            raise UserError(f"model.checkpoint knows English only, but the corpus has language {language!r}")
        return [start, plain]

    def _language(self, language: str) -> int:
        number: int | None = self.tokenizer.token_to_id(f"<|{language}|>")
        if number is None:
            raise UserError(
                f"language {language!r} of the corpus is none that model.checkpoint knows; "
                f"set data.languages: {hint(language)}"
            )
        return number

    def _id(self, name: str) -> int:
        number: int | None = self.tokenizer.token_to_id(name)
        if number is None:
            raise UserError(f"model.checkpoint: its tokenizer has no token {name}; it is no Whisper checkpoint")
        return number
