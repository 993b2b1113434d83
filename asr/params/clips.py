"""The sections `audio`, `text` and `features`: which clips are used, what is trained of their text, and the shards."""

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, model_validator

from asr.params.section import LanguageCode, Section

Augmentation: TypeAlias = Literal["noise", "reverberation", "telephone"]


class Audio(Section):
    min_s: Annotated[float, Field(ge=0)] = 0.1
    max_s: Annotated[float, Field(gt=0, le=30)] = 30.0
    silence_dbfs: Annotated[float, Field(le=0)] = -60.0
    speeds: Annotated[list[Annotated[float, Field(ge=0.5, le=2)]], Field(min_length=1)] = [1.0]
    augment: list[Augmentation] = []

    @model_validator(mode="after")
    def each_copy_is_named_once(self) -> "Audio":
        if 1.0 not in self.speeds:
            raise ValueError(f"speeds must have 1.0, the utterance itself, and {self.speeds} has not")
        for name, values in (("speeds", [f"{speed:g}" for speed in self.speeds]), ("augment", self.augment)):
            if len({*values}) < len(values):
                raise ValueError(f"{name} names something twice: {', '.join(values)}")
        return self


Unicode: TypeAlias = Literal["NFC", "NFKC", "none"]
Signs: TypeAlias = Literal["keep", "plain"]
Digits: TypeAlias = Literal["keep", "spell"]


class OwnRules(Section):
    """What a language has otherwise than the section says; None: as the section."""

    unicode: Unicode | None = None
    quotes: Signs | None = None
    dashes: Signs | None = None
    digits: Digits | None = None
    lowercase: bool | None = None
    remove_punctuation: bool | None = None


class Text(Section):
    unicode: Unicode = "NFC"
    quotes: Signs = "keep"
    dashes: Signs = "keep"
    digits: Digits = "keep"
    lowercase: bool = False
    remove_punctuation: bool = False
    by_language: dict[LanguageCode, OwnRules] = {}

    def of(self, language: str) -> "Text":
        """The rules of one language, a code of Whisper's."""
        own = self.by_language.get(language)
        return self.model_copy(update=own.model_dump(exclude_none=True)) if own else self


class Features(Section):
    codec: Literal["float16", "uint8"] = "float16"
    shard_mb: Annotated[float, Field(gt=0)] = 32
