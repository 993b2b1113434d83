"""What the sections of params.yaml have in common: strict, frozen models, and the types of several of them."""

from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

Share: TypeAlias = Annotated[float, Field(ge=0, lt=1)]
Precision: TypeAlias = Literal["auto", "bf16", "float32"]
Seed: TypeAlias = Annotated[int, Field(ge=0, lt=2**32)]  # what NumPy takes
LanguageCode: TypeAlias = Annotated[str, Field(pattern=r"^[a-z]{2,3}$")]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)
