"""The section `data`: where a corpus lies, and how it is split."""

from collections import Counter
from typing import Annotated, Any, ClassVar, Literal, TypeAlias, get_args

from pydantic import Field, PlainValidator, model_validator

from asr.params.cleaning import Agreement, Clean
from asr.params.section import LanguageCode, Section, Seed, Share

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
    "aishell",
]
NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]*$"  # of a corpus or test set, which becomes a folder's
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


class Corpus(Section):
    """One corpus: its layout, and where it lies."""

    place: ClassVar[str] = "data."  # before a param's name in what is said of it

    source: Source = "synthetic"
    path: Paths = None
    language: LanguageCode = "en"
    languages: dict[str, LanguageCode] = {}
    normalized: bool = False
    synthetic: Synthetic = Synthetic()
    table: Table = Table()
    tuxpaint: Tuxpaint = Tuxpaint()
    huggingface: HuggingFace = HuggingFace()
    common_voice: CommonVoice = CommonVoice()

    @model_validator(mode="after")
    def it_says_where_it_lies(self) -> "Corpus":
        of = self.place
        if self._is_named_elsewhere():
            return self
        if self.source in FOLDER_LAYOUTS and not self.path:
            raise ValueError(f"{of}source is {self.source}, so {of}path must name where the corpus lies")
        if self.source == "huggingface" and not self.huggingface.path:
            raise ValueError(f"{of}source is huggingface, so {of}huggingface.path must name a directory or a hub id")
        if self.source == "table" and not self.table.path:
            raise ValueError(f"{of}source is table, so {of}table.path must name the file")
        return self

    def _is_named_elsewhere(self) -> bool:
        return False


class Part(Corpus):
    """A corpus of a mixture; `language` is that of the mixture where the corpus names none."""

    place: ClassVar[str] = ""

    name: Annotated[str, Field(pattern=NAME)] | None = None  # None: the source's, with a number from the second on
    weight: Annotated[float, Field(gt=0)] = 1.0
    max_hours: Annotated[float, Field(gt=0)] | None = None


class Data(Corpus):
    """The corpus, or where `sources` names some, their mixture."""

    sources: list[Part] = []
    seed: Seed = 1
    split: Split = Split()
    clean: Clean = Clean()
    agreement: Agreement = Agreement()

    @model_validator(mode="after")
    def a_mixture_names_its_corpora(self) -> "Data":
        names = _names(self.sources)
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two of sources are called {twice[0]}; give each a name of its own")
        if self.sources and self.path:
            raise ValueError("sources is given, so path is not read; name the place in an entry of sources")
        return self

    def named_sources(self) -> dict[str, Part]:
        """The entries of `sources` by name."""
        return dict(zip(_names(self.sources), self.sources, strict=True))

    def parts(self) -> dict[str, "Data"]:
        """The corpora of the mixture by name, each as if it were alone; none where `sources` is empty."""
        return {name: self._alone(part) for name, part in self.named_sources().items()}

    def _alone(self, part: Part) -> "Data":
        own = {name: getattr(part, name) for name in Corpus.model_fields}
        own["languages"] = {**self.languages, **part.languages}
        for name in ("language", "normalized"):
            if name not in part.model_fields_set:
                own[name] = getattr(self, name)
        return Data(**own, seed=self.seed, split=self.split)

    def _is_named_elsewhere(self) -> bool:
        return bool(self.sources)


def _names(sources: list[Part]) -> list[str]:
    """table, table-2, ... for entries that say none."""
    names, unnamed = [], Counter[str]()
    for part in sources:
        unnamed[part.source] += part.name is None
        number = unnamed[part.source]
        names.append(part.name or (part.source if number == 1 else f"{part.source}-{number}"))
    return names
