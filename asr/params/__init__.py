"""params.yaml: every choice that changes a result, a section per stage, a file here for each part of it."""

from asr.params.cleaning import Agreement, Clean
from asr.params.clips import Audio, Augmentation, Features, Text
from asr.params.corpus import (
    CommonVoice,
    Data,
    HuggingFace,
    Part,
    Source,
    Split,
    SyntheticLanguage,
    Table,
    Tuxpaint,
    TuxpaintLanguage,
)
from asr.params.evaluation import Evaluate, TestSet
from asr.params.export import Export, ExportFormat
from asr.params.reading import Params, check, load, parse
from asr.params.training import Lora, LoraModule, Model, Schedule, Scratch, SpecAugment, Train

__all__ = [
    "Agreement",
    "Audio",
    "Augmentation",
    "Clean",
    "CommonVoice",
    "Data",
    "Evaluate",
    "Export",
    "ExportFormat",
    "Features",
    "HuggingFace",
    "Lora",
    "LoraModule",
    "Model",
    "Params",
    "Part",
    "Schedule",
    "Scratch",
    "Source",
    "SpecAugment",
    "Split",
    "SyntheticLanguage",
    "Table",
    "TestSet",
    "Text",
    "Train",
    "Tuxpaint",
    "TuxpaintLanguage",
    "check",
    "load",
    "parse",
]
