"""The section `evaluate`: what else is heard, and how."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from asr.params.corpus import NAME, Data
from asr.params.section import Precision, Section, Seed


class TestSet(Data):
    """A further test set: a corpus as in `data`, of which the test split is used (all of it where it has none), or
    features that another project made."""

    features: Annotated[str, Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def it_is_a_corpus_or_features(self) -> "TestSet":
        if bool({"source", "sources"} & self.model_fields_set) == (self.features is not None):
            raise ValueError(
                "a test set needs either `source` (`sources`), as in data, or `features`, a folder with an index.json"
            )
        return self


class Evaluate(Section):
    sets: dict[Annotated[str, Field(pattern=NAME)], TestSet] = {}
    beams: Annotated[int, Field(ge=1, le=64)] = 1
    language: Literal["row", "detect"] = "row"
    precision: Precision = "auto"
    bootstrap_samples: Annotated[int, Field(ge=100)] = 1000
    seed: Seed = 1
