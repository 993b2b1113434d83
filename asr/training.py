"""A base checkpoint and the shards -> a fine-tuned checkpoint, in one folder with its processor."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import Seq2SeqTrainingArguments, WhisperProcessor, set_seed

from asr import checkpoints
from asr.batches import EpochBatches
from asr.curves import Curves, Log
from asr.device import attention_for, best_device, resolve_precision
from asr.epochs import Layout
from asr.errors import UserError
from asr.params import Params, Train
from asr.shards import Index, read_index
from asr.trainer import WhisperTrainer
from asr.whisper import WindowedWhisper

SCHEDULES = {"linear": "linear", "cosine": "cosine", "constant": "constant_with_warmup"}


@dataclass(frozen=True)
class TrainingSummary:
    """What a training did; the losses are the last points of their curves (None: no validation rows)."""

    steps: int
    epochs: float
    seconds: float  # without validation
    clips_per_second: float
    train_loss: float
    validation_loss: float | None
    precision: str
    processes: int


def train(base: Path, features: Path, model_folder: Path, params: Params, log: Log) -> TrainingSummary:
    """Trains the checkpoint in `base` on the `train` split of `features`; writes `model_folder`, and nothing else.

    `log` gets (metrics, step) of the curves. Launched in several processes (torchrun, accelerate launch), each calls it
    and the first one writes. Raises `UserError` before the first step for features and params that do not fit, and
    as soon as the loss is not a number.
    """
    index = read_index(features)
    set_seed(params.train.seed)
    network = checkpoints.load_model(base, WindowedWhisper)
    _check_features(index, features, network.config.num_mel_bins)
    with tempfile.TemporaryDirectory() as folder:  # Trainer wants one, though nothing is saved by it
        arguments = training_arguments(params.train, index.rows("validation") > 0, folder)
        trainer, curves = _trainer(network, features, params, arguments, log)
        try:
            trainer.train()
        finally:
            curves.stop()
    network.config.encoder_window_s = params.model.window_s
    if trainer.is_world_process_zero():
        checkpoints.save(network, WhisperProcessor.from_pretrained(base), model_folder)
    return TrainingSummary(
        steps=trainer.state.global_step,
        epochs=float(trainer.state.epoch or 0),
        seconds=round(curves.training_s, 1),
        clips_per_second=round(curves.clips_per_second, 2),
        train_loss=curves.train_loss,
        validation_loss=curves.validation_loss,
        precision="bf16" if trainer.dtype == torch.bfloat16 else "float32",
        processes=arguments.world_size,
    )


def _check_features(index: Index, features: Path, n_mels: int) -> None:
    if not index.rows("train"):
        raise UserError(f"{features} has no train rows; see its rejects.parquet and data.split")
    if index.n_mels != n_mels:
        raise UserError(
            f"{features} has {index.n_mels} mel bins, but the checkpoint wants {n_mels}; run `dvc repro preprocess`"
        )


def training_arguments(train: Train, validates: bool, folder: str) -> Seq2SeqTrainingArguments:
    """Trainer's arguments for the section `train`; raises `UserError` if the batch can't be divided evenly."""
    arguments = Seq2SeqTrainingArguments(
        output_dir=folder,
        max_steps=train.max_steps,
        gradient_accumulation_steps=train.gradient_accumulation_steps,
        learning_rate=train.learning_rate,
        warmup_steps=train.warmup_steps,
        lr_scheduler_type=SCHEDULES[train.schedule],
        weight_decay=train.weight_decay,
        optim="adamw_torch_fused",
        seed=train.seed,
        eval_strategy="steps" if validates else "no",
        eval_steps=train.eval_steps,
        save_strategy="no",
        logging_steps=1,
        logging_nan_inf_filter=False,
        disable_tqdm=True,
        report_to="none",
        use_cpu=best_device().type == "cpu",  # not only a choice of device: processes find each other by gloo then
        ddp_find_unused_parameters=False,
    )
    arguments._n_gpu = min(1, arguments.n_gpu)  # further GPUs are for further processes, never for DataParallel
    n_parts = arguments.world_size * train.gradient_accumulation_steps
    if train.batch_size % n_parts:
        raise UserError(
            f"train.batch_size {train.batch_size} can't be divided evenly over {arguments.world_size} processes x "
            f"train.gradient_accumulation_steps {train.gradient_accumulation_steps}; take a multiple of {n_parts}"
        )
    arguments.per_device_train_batch_size = train.batch_size // n_parts
    return arguments


def _trainer(
    network: WindowedWhisper, features: Path, params: Params, arguments: Seq2SeqTrainingArguments, log: Log
) -> tuple[WhisperTrainer, Curves]:
    """The trainer over both splits, and the curves that it draws."""
    network.set_attn_implementation(attention_for(params.model.window_s, arguments.device))
    pad_id = network.config.pad_token_id
    assert isinstance(pad_id, int)

    def rows_of(split: str, seed: int | None) -> EpochBatches:
        return EpochBatches(
            features,
            split,
            batch_size=params.train.batch_size,
            window_s=params.model.window_s,
            pad_id=pad_id,
            seed=seed,
            layout=Layout(arguments.process_index, arguments.world_size, params.train.gradient_accumulation_steps),
        )

    train_rows = rows_of("train", params.train.seed)
    curves = Curves(log, train_rows.n_rows / train_rows.n_steps, arguments.process_index == 0)
    trainer = WhisperTrainer(
        network,
        train_rows,
        rows_of("validation", None),
        dtype=resolve_precision(params.train.precision),
        args=arguments,
        callbacks=[curves],
    )
    return trainer, curves
