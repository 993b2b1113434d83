"""params.yaml -> `Params`: every choice that changes a result, checked before anything runs.

The models are strict and frozen: an unknown key, a wrong type or a value out of range is refused in one line that
names it, its value and, for a name, the nearest valid one.
"""

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from asr.errors import UserError

Share: TypeAlias = Annotated[float, Field(ge=0, lt=1)]
Precision: TypeAlias = Literal["auto", "bf16", "float32"]
Schedule: TypeAlias = Literal[
    "linear",
    "cosine",
    "cosine_with_restarts",
    "polynomial",
    "inverse_sqrt",
    "constant",
    "warmup_stable_decay",
]
LoraModule: TypeAlias = Literal["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"]
SplitName: TypeAlias = Literal["train", "validation", "test"]
Augmentation: TypeAlias = Literal["noise", "reverberation", "telephone"]
SyntheticLanguage: TypeAlias = Literal["en", "es", "de", "pl", "hi"]
TuxpaintLanguage: TypeAlias = Literal["be", "bg", "ca", "da", "el", "en", "es", "fr", "nl", "ro", "ru"]
LanguageCode: TypeAlias = Annotated[str, Field(pattern=r"^[a-z]{2,3}$")]
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


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


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


class Text(Section):
    unicode: Literal["NFC", "NFKC", "none"] = "NFC"
    lowercase: bool = False
    remove_punctuation: bool = False


class Features(Section):
    codec: Literal["float16", "uint8"] = "float16"
    shard_mb: Annotated[float, Field(gt=0)] = 32


class Scratch(Section):
    d_model: Annotated[int, Field(ge=64, multiple_of=64)] = 64
    layers: Annotated[int, Field(ge=1)] = 2
    seed: int = 1


class Model(Section):
    checkpoint: Annotated[str, Field(min_length=1)] = "openai/whisper-base"
    window_s: Annotated[int, Field(ge=0, le=30)] = 10
    scratch: Scratch = Scratch()


class SpecAugment(Section):
    mel_masks: Annotated[int, Field(ge=0)] = 0
    mel_mask_bins: Annotated[int, Field(ge=1)] = 27
    time_masks: Annotated[int, Field(ge=0)] = 0
    time_mask_s: Annotated[float, Field(gt=0)] = 1.0


class Lora(Section):
    rank: Annotated[int, Field(ge=0)] = 0
    alpha: Annotated[float, Field(gt=0)] = 64
    dropout: Share = 0.05
    modules: Annotated[list[LoraModule], Field(min_length=1)] = ["q_proj", "v_proj"]


class Train(Section):
    max_steps: Annotated[int, Field(ge=1)] = 80
    batch_size: Annotated[int, Field(ge=1)] = 8
    gradient_accumulation_steps: Annotated[int, Field(ge=1)] = 1
    learning_rate: Annotated[float, Field(gt=0)] = 5e-5
    warmup_steps: Annotated[int, Field(ge=0)] = 10
    schedule: Schedule = "linear"
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    label_smoothing: Share = 0.0
    precision: Precision = "auto"
    seed: Annotated[int, Field(ge=0)] = 1
    random_window: bool = False
    language_temperature: Annotated[float, Field(ge=0, le=1)] = 1.0
    timestamps: Annotated[float, Field(ge=0, le=1)] = 0.0
    spec_augment: SpecAugment = SpecAugment()
    eval_steps: Annotated[int, Field(ge=1)] = 40
    eval_wer: Annotated[int, Field(ge=0)] = 40
    select: Literal["last", "loss", "wer"] = "last"
    patience: Annotated[int, Field(ge=1)] | None = None
    average: Annotated[int, Field(ge=1)] = 1
    keep_base: Annotated[float, Field(ge=0, le=1)] = 0.0
    freeze_encoder: bool = False
    activation_checkpointing: bool = False
    lora: Lora = Lora()

    @model_validator(mode="after")
    def wer_is_measured_where_it_decides(self) -> "Train":
        if self.select == "wer" and not self.eval_wer:
            raise ValueError("select is wer, so eval_wer must say how many validation clips are decoded (0 now)")
        if self.patience is not None and self.select == "last":
            raise ValueError("patience needs a score to wait for: select must be loss or wer")
        return self

    @model_validator(mode="after")
    def accumulation_divides_the_batch(self) -> "Train":
        if self.batch_size % self.gradient_accumulation_steps:
            raise ValueError(
                f"gradient_accumulation_steps must divide batch_size ({self.batch_size}), "
                f"which {self.gradient_accumulation_steps} does not"
            )
        return self


class TestSet(Data):
    """A further test set: a corpus as in `data`, of which the test split is used (all of it where it has none), or
    features that another project made."""

    features: Annotated[str, Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def it_is_a_corpus_or_features(self) -> "TestSet":
        if ("source" in self.model_fields_set) == (self.features is not None):
            raise ValueError("a test set needs either `source`, as in data, or `features`, a folder with an index.json")
        return self


class Evaluate(Section):
    sets: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")], TestSet] = {}
    beams: Annotated[int, Field(ge=1, le=64)] = 1
    language: Literal["row", "detect"] = "row"
    precision: Precision = "auto"
    bootstrap_samples: Annotated[int, Field(ge=100)] = 1000
    seed: int = 1


class Params(Section):
    data: Data = Data()
    audio: Audio = Audio()
    text: Text = Text()
    features: Features = Features()
    model: Model = Model()
    train: Train = Train()
    evaluate: Evaluate = Evaluate()


def load(path: str | Path = "params.yaml") -> Params:
    """The checked params. Raises `UserError` with a line for each thing that is wrong in the file."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run this in the project's own folder") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8: {error}") from None
    return check(parse(text, path))


def parse(text: str, path: str | Path) -> dict[str, Any]:
    """YAML 1.2, as DVC reads it (1e-5 is a number), as nested dicts. `path` is what an error names."""
    try:
        content = YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} must be a mapping of sections, not {content!r}")
    return content


def check(content: dict[str, Any]) -> Params:
    """`content` (nested dicts) as `Params`; raises `UserError` that names each offending param."""
    try:
        return Params.model_validate(content)
    except ValidationError as error:
        raise UserError("\n".join(_explain(problem) for problem in error.errors())) from None


def _explain(problem: Any) -> str:
    """One line for one of pydantic's findings."""
    location = [str(part) for part in problem["loc"]]
    name = ".".join(location) or "params.yaml"
    value = problem["input"]
    if problem["type"] == "extra_forbidden":
        near = difflib.get_close_matches(location[-1], _names(location[:-1]), n=1, cutoff=0.5)
        return f"{name}: unknown" + (
            f"; did you mean {near[0]}?" if near else f"; valid: {', '.join(_names(location[:-1]))}"
        )
    if problem["type"] == "value_error":
        return f"{name}: {problem['ctx']['error']}"
    if problem["type"] == "literal_error":
        valid = problem["ctx"]["expected"]
        near = difflib.get_close_matches(str(value), valid.replace("'", "").replace(" or ", ", ").split(", "), n=1)
        return f"{name}: {value!r} is not one of {valid}" + (f"; did you mean {near[0]}?" if near else "")
    return f"{name}: {value!r}: {problem['msg'][0].lower()}{problem['msg'][1:]}"


def _names(section: list[str]) -> list[str]:
    """The valid names in a section, given as the path to it."""
    model: Any = Params
    for part in section:
        # A key of a mapping is the user's own name, of which the values' model knows nothing.
        model = get_args(model)[1] if get_origin(model) is dict else model.model_fields[part].annotation
    return list(model.model_fields)
