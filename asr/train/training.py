"""A base checkpoint and the shards -> a fine-tuned checkpoint, in one folder with its processor."""

import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import Seq2SeqTrainingArguments, WhisperProcessor, set_seed

from asr.loading.batches import EpochBatches
from asr.loading.epochs import Layout
from asr.loading.rows import Sampling, windows_of
from asr.models import checkpoints
from asr.models.attention import attention_for
from asr.models.device import add_in_order, best_device, keep_freed_memory, resolve_precision
from asr.models.whisper import MAX_WINDOW_S, WindowedWhisper
from asr.params import Params, Train
from asr.progress import say
from asr.shards import read_index
from asr.train import advice, fitting, learning
from asr.train.attempt import Attempt
from asr.train.candidates import Candidates, interpolate
from asr.train.curves import Curves, Log
from asr.train.resume import Saving
from asr.train.schedules import scheduler
from asr.train.trainer import LastLook, WhisperTrainer
from asr.train.validation import clips_to_decode

SAVE_EVERY_S = 600.0
LOADER_WORKERS_CUDA = 2  # a CPU computes a step for seconds, and assembles its batch in milliseconds


@dataclass(frozen=True)
class TrainingSummary:
    """What a training did; the losses and the WER are the last points of their curves (None: not measured)."""

    steps: int
    epochs: float
    seconds: float  # without validation
    clips_per_second: float
    waiting_share: float  # of the seconds, for data
    train_loss: float
    validation_loss: float | None
    validation_wer: float | None
    chosen_steps: list[int]  # whose weights make the checkpoint; none: the last ones
    precision: str
    processes: int
    warnings: dict[str, str]


def train(
    base: Path,
    features: Path,
    model_folder: Path,
    params: Params,
    log: Log,
    attempt: Attempt,
    *,
    weights: NDArray[np.float64] | None = None,
    save_every_s: float = SAVE_EVERY_S,
    loader_workers: int | None = None,
) -> TrainingSummary:
    """Trains the checkpoint in `base` on the `train` split of `features`; writes `model_folder`, and into `attempt`.

    `weights` say how often each train row comes beside the others, 0 never; None: all alike. Goes on from the attempt's
    checkpoint, if it has one. `log` gets (metrics, step) of the curves. `loader_workers`
    assemble batches for each process; None: as many as pay on this device, 0: the process itself. Launched in several
    processes, each calls it and the first one writes.

    Raises `UserError` before the first step for features and params that do not fit, and as soon as the loss is not a
    number; `SystemExit` where SIGTERM or SIGINT has ended it, after a checkpoint is saved.
    """
    set_seed(params.train.seed)
    if best_device().type == "cpu":
        keep_freed_memory()
        add_in_order()
    network = checkpoints.load_model(base, WindowedWhisper)
    arguments = training_arguments(params.train, attempt.folder)
    _leave_damaged(attempt, arguments)
    fitting.check(read_index(features), base, network.config, params, arguments.world_size)
    learning.prepare(network, params.train)
    network.set_attn_implementation(attention_for(_usual_window_s(params), arguments.device))

    train_rows = _train_rows(network, features, params, arguments, attempt, weights)
    validation_rows = _rows(network, features, "validation", params, arguments)
    for rows in (train_rows, validation_rows):
        fitting.check_rows(rows.windows, rows.lengths.n_labels, network.config)
    fitting.check_batch(params.train, train_rows.n_clips)
    curves = Curves(log, train_rows.n_clips / train_rows.n_steps, arguments.process_index == 0)
    if loader_workers is None:
        loader_workers = LOADER_WORKERS_CUDA if arguments.device.type == "cuda" else 0
    trainer = WhisperTrainer(
        network,
        train_rows,
        validation_rows,
        curves,
        WhisperProcessor.from_pretrained(base).tokenizer,
        clips_to_decode(features, "validation", params.train.eval_wer),
        dtype=resolve_precision(params.train.precision),
        label_smoothing=params.train.label_smoothing,
        loader_workers=loader_workers,
        args=arguments,
    )
    _advise(curves, params, network.config.d_model, train_rows)
    candidates = _run(trainer, params.train, attempt, save_every_s)
    if trainer.is_world_process_zero():
        _save(candidates.result(learning.merged_state(network)), base, model_folder, params)
    return _summary(trainer, candidates)


def _leave_damaged(attempt: Attempt, arguments: Seq2SeqTrainingArguments) -> None:
    """A checkpoint that a disk has damaged is not gone on from."""
    damaged = attempt.damaged()
    arguments.distributed_state.wait_for_everyone()  # all have looked
    if damaged and arguments.process_index == 0:
        say(f"warning: {damaged[0]} is damaged, no longer what was saved; the training starts anew")
        attempt.discard()
    arguments.distributed_state.wait_for_everyone()


def _run(trainer: WhisperTrainer, train: Train, attempt: Attempt, save_every_s: float) -> Candidates:
    """Trains; returns what knows which weights to keep. Raises `SystemExit` if a signal has ended it."""
    network, curves, is_first = trainer.network, trainer.curves, trainer.is_world_process_zero()
    candidates = Candidates(attempt.folder, train, lambda: learning.merged_state(network), is_first)
    saving = Saving(attempt, save_every_s, trainer.in_any_process)
    # A candidate that the newest checkpoint no longer needs goes when that is complete, so not before `saving`.
    for callback in (curves, LastLook(), saving, candidates):
        trainer.add_callback(callback)
    try:
        with fitting.explained_memory(train):
            fitting.try_largest(trainer)
            saving.train(trainer)
    finally:
        curves.stop()
    if saving.interrupted:
        if is_first:
            name, state = signal.Signals(saving.interrupted).name, trainer.state
            say(f"stopped by {name} at step {state.global_step} of {state.max_steps}; `dvc repro` goes on from there")
        raise SystemExit(128 + saving.interrupted)
    if candidates.needs_files and not candidates.chosen:
        curves.warn("select", "no look at the validation split had a score, so the last weights are kept")
    return candidates


def _summary(trainer: WhisperTrainer, candidates: Candidates) -> TrainingSummary:
    curves, step = trainer.curves, trainer.state.global_step
    return TrainingSummary(
        steps=step,
        epochs=round(step / trainer.train_rows.n_steps, 4),
        seconds=round(curves.training_s, 1),
        clips_per_second=round(curves.clips_per_second, 2),
        waiting_share=round(curves.waiting_share, 4),
        train_loss=curves.train_loss,
        validation_loss=curves.validation_loss,
        validation_wer=curves.validation_wer,
        chosen_steps=candidates.chosen if candidates.needs_files else [],
        precision="bf16" if trainer.dtype == torch.bfloat16 else "float32",
        processes=trainer.args.world_size,
        warnings=curves.warnings,
    )


def training_arguments(train: Train, folder: Path) -> Seq2SeqTrainingArguments:
    """Trainer's arguments for the section `train`; checkpoints go into `folder`, when `Saving` says so."""
    schedule, schedule_options = scheduler(train)
    arguments = Seq2SeqTrainingArguments(
        output_dir=str(folder),
        max_steps=train.max_steps,
        learning_rate=train.learning_rate,
        warmup_steps=train.warmup_steps,
        lr_scheduler_type=schedule,
        lr_scheduler_kwargs=schedule_options,
        weight_decay=train.weight_decay,
        optim="adamw_torch_fused",
        seed=train.seed,
        eval_strategy="steps",
        eval_steps=train.eval_steps,
        save_strategy="no",
        ignore_data_skip=True,  # the rows themselves start where a continued training goes on
        logging_steps=1,
        logging_nan_inf_filter=False,
        disable_tqdm=True,
        report_to="none",
        use_cpu=best_device().type == "cpu",  # not only a choice of device: processes find each other by gloo then
        ddp_find_unused_parameters=False,
    )
    arguments._n_gpu = min(1, arguments.n_gpu)  # further GPUs are for further processes, never for DataParallel
    arguments.gradient_accumulation_steps = fitting.accumulation(train, arguments.world_size)
    n_parts = arguments.world_size * arguments.gradient_accumulation_steps
    arguments.per_device_train_batch_size = max(1, train.batch_size // n_parts)
    return arguments


def _usual_window_s(params: Params) -> int:
    return MAX_WINDOW_S if params.train.random_window else params.model.window_s


def _train_rows(
    network: WindowedWhisper,
    features: Path,
    params: Params,
    arguments: Seq2SeqTrainingArguments,
    attempt: Attempt,
    weights: NDArray[np.float64] | None,
) -> EpochBatches:
    """The rows from the step on where the attempt goes on."""
    train = params.train
    sampling = Sampling(
        random_window=train.random_window,
        language_temperature=train.language_temperature,
        timestamps=train.timestamps,
        spec_augment=train.spec_augment,
        no_timestamps=network.generation_config.no_timestamps_token_id,  # type: ignore[attr-defined]
        max_labels=network.config.max_target_positions,
    )
    rows = _rows(network, features, "train", params, arguments, train.seed, sampling, weights)
    rows.start = divmod(attempt.step, rows.n_steps)
    return rows


def _rows(
    network: WindowedWhisper,
    features: Path,
    split: str,
    params: Params,
    arguments: Seq2SeqTrainingArguments,
    seed: int | None = None,
    sampling: Sampling | None = None,
    weights: NDArray[np.float64] | None = None,
) -> EpochBatches:
    pad_id = network.config.pad_token_id
    assert isinstance(pad_id, int)
    return EpochBatches(
        features,
        split,
        batch_size=params.train.batch_size,
        window_s=params.model.window_s,
        pad_id=pad_id,
        seed=seed,
        layout=Layout(arguments.process_index, arguments.world_size, arguments.gradient_accumulation_steps),
        sampling=sampling or Sampling(),
        weights=weights,
    )


def _advise(curves: Curves, params: Params, d_model: int, rows: EpochBatches) -> None:
    """Says what is unusual before the first step."""
    train = params.train
    curves.warn("learning rate", advice.learning_rate(train.learning_rate, d_model, lora=train.lora.rank > 0))
    curves.warn("epochs", advice.epochs(train.max_steps, train.batch_size, rows.n_clips))
    curves.warn("warm-up", advice.warmup(train.warmup_steps, train.max_steps))
    curves.warn("timestamps", advice.timestamps(train.timestamps, int(rows.lengths.timed.sum())))
    curves.warn("window", advice.window(windows_of(rows.lengths.n_frames, 0), params.model.window_s))


def _save(state: Mapping[str, torch.Tensor], base: Path, folder: Path, params: Params) -> None:
    """Writes a plain checkpoint with these weights, and the share of the base checkpoint's that `keep_base` says."""
    network = checkpoints.load_model(base, WindowedWhisper)
    network.load_state_dict(interpolate(dict(state), network.state_dict(), params.train.keep_base), strict=False)
    network.config.encoder_window_s = params.model.window_s
    checkpoints.save(network, WhisperProcessor.from_pretrained(base), folder)
