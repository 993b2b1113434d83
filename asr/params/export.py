"""The section `export`: what else the checkpoint is written as, and what its card says that no run can know."""

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from asr.params.section import Section

ExportFormat: TypeAlias = Literal["hub", "ctranslate2-float16", "ctranslate2-int8", "lora"]


class Export(Section):
    formats: list[ExportFormat] = []
    name: Annotated[str, Field(min_length=1)] | None = None
    license: Annotated[str, Field(pattern=r"^[\w.-]+$")] | None = None
    datasets: list[Annotated[str, Field(pattern=r"^[\w-][\w.-]*(/[\w-][\w.-]*)?$")]] = []
