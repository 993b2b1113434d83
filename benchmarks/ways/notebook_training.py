"""Clips -> a checkpoint, trained as the well-known fine-tuning notebook does it: padded to 30 s, `datasets`, Trainer.

python benchmarks/ways/notebook_training.py MANIFEST_FOLDER BASE SETTINGS_JSON OUT_FOLDER

After https://huggingface.co/blog/fine-tune-whisper, with one bug mended: its collator looks for the tokenizer's `bos`
in front of the labels, which is not the token that Whisper starts with, and so never cuts the start token off. Its
`fp16=True` is a GPU's, so `precision` says what stands in. OUT_FOLDER/steps.json gets when each step ended.
"""

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import librosa
import soundfile
import torch
from datasets import Dataset
from transformers import (
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
    TrainerCallback,
    WhisperForConditionalGeneration,
    WhisperProcessor,
    set_seed,
)

from asr.corpora import manifest
from asr.features import RATE_HZ


@dataclass
class DataCollatorSpeechSeq2SeqWithPadding:
    """The notebook's, apart from the token that it compares with."""

    processor: Any
    decoder_start_token_id: int

    def __call__(self, features: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        input_features = [{"input_features": feature["input_features"]} for feature in features]
        batch = self.processor.feature_extractor.pad(input_features, return_tensors="pt")
        label_features = [{"input_ids": feature["labels"]} for feature in features]
        labels_batch = self.processor.tokenizer.pad(label_features, return_tensors="pt")
        labels = labels_batch["input_ids"].masked_fill(labels_batch.attention_mask.ne(1), -100)
        if (labels[:, 0] == self.decoder_start_token_id).all().cpu().item():
            labels = labels[:, 1:]
        batch["labels"] = labels
        return batch


class StepTimes(TrainerCallback):
    """Monotonic seconds at which each step ended."""

    def __init__(self) -> None:
        self.ended_s: list[float] = []

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.ended_s.append(time.monotonic())


def main(manifest_folder: Path, base: Path, settings_file: Path, out: Path) -> None:
    settings = json.loads(settings_file.read_text())
    set_seed(settings["seed"])
    processor = WhisperProcessor.from_pretrained(base)
    network = WhisperForConditionalGeneration.from_pretrained(base, dtype=torch.float32)
    multilingual = getattr(network.generation_config, "is_multilingual", False)
    rows = _dataset(manifest_folder, processor, multilingual, out / "cache")
    times = StepTimes()
    trainer = Seq2SeqTrainer(
        args=_arguments(settings, out),
        model=network,
        train_dataset=rows,
        data_collator=DataCollatorSpeechSeq2SeqWithPadding(processor, network.config.decoder_start_token_id),
        processing_class=processor.feature_extractor,
        callbacks=[times],
    )
    trainer.train()
    network.save_pretrained(out / "model")
    network.generation_config.save_pretrained(out / "model")
    for part in (processor, processor.feature_extractor, processor.tokenizer):
        part.save_pretrained(out / "model")
    (out / "steps.json").write_text(json.dumps({"ended_s": times.ended_s, "log": trainer.state.log_history}))


def _dataset(manifest_folder: Path, processor: WhisperProcessor, multilingual: bool, cache: Path) -> Dataset:
    """`datasets` 5 decodes with torchcodec, which needs FFmpeg: soundfile and librosa, as it did up to version 3."""

    def rows() -> Iterator[dict[str, str]]:
        for row in manifest.read(manifest_folder):
            yield {"audio": row.audio, "sentence": row.text, "language": row.language}

    def prepare_dataset(row: dict[str, Any]) -> dict[str, Any]:
        samples, rate_hz = soundfile.read(row["audio"], dtype="float32")
        array = librosa.resample(librosa.to_mono(samples.T), orig_sr=rate_hz, target_sr=RATE_HZ)
        row["input_features"] = processor.feature_extractor(array, sampling_rate=RATE_HZ).input_features[0]
        if multilingual:  # the notebook has one language, and sets it once
            processor.tokenizer.set_prefix_tokens(language=row["language"], task="transcribe")
        row["labels"] = processor.tokenizer(row["sentence"]).input_ids
        return row

    dataset = Dataset.from_generator(rows, cache_dir=str(cache))
    return dataset.map(prepare_dataset, remove_columns=dataset.column_names)


def _arguments(settings: dict[str, Any], out: Path) -> Seq2SeqTrainingArguments:
    """The notebook's, without its evaluations, saves and uploads."""
    return Seq2SeqTrainingArguments(
        output_dir=str(out / "trainer"),
        per_device_train_batch_size=settings["batch_size"],
        gradient_accumulation_steps=1,
        learning_rate=settings["learning_rate"],
        warmup_steps=settings["warmup_steps"],
        max_steps=settings["max_steps"],
        gradient_checkpointing=settings["gradient_checkpointing"],
        bf16=settings["precision"] == "bf16",
        seed=settings["seed"],
        use_cpu=not torch.cuda.is_available(),
        save_strategy="no",
        logging_steps=1,
        report_to="none",
    )


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
