"""Trained text -> label ids, by the tokenizer of the base checkpoint and nothing of transformers."""

import json
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from asr.errors import UserError


@dataclass(frozen=True)
class FrontEnd:
    """What the features need to know of a checkpoint, from its `front_end.json`."""

    n_mels: int
    multilingual: bool
    max_labels: int  # positions of the decoder

    @classmethod
    def read(cls, base: Path) -> "FrontEnd":
        return cls(**json.loads((base / "front_end.json").read_text(encoding="utf-8")))


class Labeller:
    """Labels as Whisper was trained on them: `<|startoftranscript|><|xx|><|transcribe|><|notimestamps|> ... <|endoftext|>`.

    A checkpoint that is not multilingual has neither language nor task in its prefix. The start token is the first
    label here; the collator shifts it away.
    """

    def __init__(self, base: Path) -> None:
        self.front_end = FrontEnd.read(base)
        self.tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
        self.tokenizer.encode_special_tokens = True  # "<|en|>" within a text is text, not a command
        self._end = self._id("<|endoftext|>")

    def labels(self, text: str, language: str) -> list[int]:
        """`(L,)` ids of a clip. Raises `UserError` for a language that the checkpoint does not know."""
        return self.prefix(language) + self.tokenizer.encode(text, add_special_tokens=False).ids + [self._end]

    def prefix(self, language: str) -> list[int]:
        names = ["<|startoftranscript|>"]
        if self.front_end.multilingual:
            names += [f"<|{language}|>", "<|transcribe|>"]
        return [self._id(name) for name in [*names, "<|notimestamps|>"]]

    def _id(self, name: str) -> int:
        number: int | None = self.tokenizer.token_to_id(name)
        if number is None:
            raise UserError(f"the tokenizer of the base checkpoint has no token {name}; is it a Whisper checkpoint?")
        return number
