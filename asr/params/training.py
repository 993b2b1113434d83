"""The sections `model` and `train`: where training starts from, and how it goes on."""

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, model_validator

from asr.params.section import Precision, Section, Seed, Share

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


class Scratch(Section):
    d_model: Annotated[int, Field(ge=64, multiple_of=64)] = 64
    layers: Annotated[int, Field(ge=1)] = 2
    seed: Seed = 1


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
    seed: Seed = 1
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
