"""The section `data`: where a corpus lies, and how it is split."""

from typing import Annotated, Any, Literal, TypeAlias, get_args

from pydantic import Field, PlainValidator, model_validator

from asr.params.section import LanguageCode, Section, Share

SplitName: TypeAlias = Literal["train", "validation", "test"]
SyntheticLanguage: TypeAlias = Literal["en", "es", "de", "pl", "hi"]
TuxpaintLanguage: TypeAlias = Literal["be", "bg", "ca", "da", "el", "en", "es", "fr", "nl", "ro", "ru"]
Source: TypeAlias = Literal[
    "synthetic",
    "table",
    "tuxpaint",
    "huggingface",
    "common_voice",
    "fleurs",
    "librispeech",
    "ljspeech",
    "audiofolder",
    "nemo",
    "kaldi",
    "lhotse",
    "subtitles",
]
FOLDER_LAYOUTS = {*get_args(Source)} - {"synthetic", "table", "tuxpaint", "huggingface"}  # these read data.path


def _checked_paths(value: Any) -> Any:
    """Of one place, several, or one for each split; here, because of a union pydantic tells what is wrong with each."""
    paths = [value] if isinstance(value, str) else [*value.values()] if isinstance(value, dict) else value
    named = {*value} if isinstance(value, dict) else set()
    is_paths = isinstance(paths, list) and paths and all(isinstance(path, str) and path for path in paths)
    if value is not None and not (is_paths and named <= {*get_args(SplitName)}):
        raise ValueError(f"{value!r} is no path, list of paths, or {{train: path, validation: path, test: path}}")
    return value


Paths: TypeAlias = Annotated[str | list[str] | dict[str, str] | None, PlainValidator(_checked_paths)]


class Split(Section):
    validation: Share = 0.05
    test: Share = 0.08

    @model_validator(mode="after")
    def leaves_something_to_train(self) -> "Split":
        if self.validation + self.test >= 1:
            raise ValueError("validation + test must leave a share for train (under 1 together)")
        return self


class Synthetic(Section):
    languages: Annotated[list[SyntheticLanguage], Field(min_length=1)] = ["en", "es", "de", "pl", "hi"]
    utterances: Annotated[int, Field(ge=1)] = 1200


class Table(Section):
    path: str | None = None
    audio_root: str | None = None
    columns: dict[str, str] = {}


class Tuxpaint(Section):
    languages: Annotated[list[TuxpaintLanguage], Field(min_length=1)] = ["bg", "el", "es", "fr"]


class HuggingFace(Section):
    path: Annotated[str, Field(min_length=1)] | None = None
    config: str | None = None
    revision: str | None = None
    splits: dict[SplitName, str | list[str]] = {}
    columns: dict[str, str] = {}
    stream: bool = False


class CommonVoice(Section):
    splits: Literal["release", "validated"] = "release"
    min_votes: int = 0
    keep_reported: bool = False


class Data(Section):
    source: Source = "synthetic"
    path: Paths = None
    language: LanguageCode = "en"
    languages: dict[str, LanguageCode] = {}
    normalized: bool = False
    seed: int = 1
    split: Split = Split()
    synthetic: Synthetic = Synthetic()
    table: Table = Table()
    tuxpaint: Tuxpaint = Tuxpaint()
    huggingface: HuggingFace = HuggingFace()
    common_voice: CommonVoice = CommonVoice()

    @model_validator(mode="after")
    def a_folder_layout_has_a_path(self) -> "Data":
        if self.source in FOLDER_LAYOUTS and not self.path:
            raise ValueError(f"data.source is {self.source}, so data.path must name where the corpus lies")
        return self

    @model_validator(mode="after")
    def a_dataset_has_a_path(self) -> "Data":
        if self.source == "huggingface" and not self.huggingface.path:
            raise ValueError("data.source is huggingface, so data.huggingface.path must name a directory or a hub id")
        return self

    @model_validator(mode="after")
    def a_table_has_a_path(self) -> "Data":
        if self.source == "table" and not self.table.path:
            raise ValueError("data.source is table, so data.table.path must name the file")
        return self
