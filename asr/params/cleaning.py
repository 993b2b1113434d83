"""The sections `data.clean` and `data.agreement`: which train utterances are set aside before training."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from asr.params.section import LanguageCode, Section

Copies = Annotated[int, Field(ge=1)] | None


class Clean(Section):
    characters_a_second: Annotated[list[Annotated[float, Field(ge=0)]], Field(min_length=2, max_length=2)] | None = None
    alphabet: dict[LanguageCode, Annotated[str, Field(min_length=1)]] = {}
    text_copies: Copies = None
    audio_copies: Copies = None
    min_rms_dbfs: Annotated[float, Field(le=0)] | None = None
    max_clipped_share: Annotated[float, Field(ge=0, le=1)] | None = None
    max_edge_db: float | None = None

    @model_validator(mode="after")
    def least_comes_first(self) -> "Clean":
        if self.characters_a_second and self.characters_a_second[0] >= self.characters_a_second[1]:
            raise ValueError(f"characters_a_second must be [least, most], and {self.characters_a_second} is not")
        return self


class Agreement(Section):
    heard_by: Literal["none", "base"] = "none"
    max_wer: Annotated[float, Field(ge=0)] = 0.5
