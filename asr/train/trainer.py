"""Batches of the shards -> steps of training and looks at the validation split, by transformers' Trainer.

The loss of a step is the sum over its tokens divided by their number in the whole global batch: the same number however
the batch is divided over processes and accumulation.
"""

import time
from collections.abc import Collection
from typing import Any

import torch
import torch.nn.functional as F
from transformers import (
    PrinterCallback,
    Seq2SeqTrainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
    WhisperTokenizer,
)

from asr.loading.batches import MASKED, Batch, EpochBatches, EpochLoader
from asr.models.device import autocast
from asr.models.whisper import WindowedWhisper
from asr.train.curves import Curves
from asr.train.validation import measure


class WhisperTrainer(Seq2SeqTrainer):
    """Trainer over `EpochBatches`, with a loss that is exact under accumulation and in several processes."""

    loss_is_scaled_for_ga = True  # by compute_loss, over the whole global batch

    def __init__(
        self,
        network: WindowedWhisper,
        train_rows: EpochBatches,
        validation_rows: EpochBatches,
        curves: Curves,
        tokenizer: WhisperTokenizer,
        decoded: Collection[str],
        *,
        dtype: torch.dtype,
        label_smoothing: float,
        loader_workers: int,
        **kwargs: Any,
    ) -> None:
        """`decoded`: the ids of the validation clips of which the WER is measured; `curves` learns how long a step
        waited for its data."""
        super().__init__(model=network, train_dataset=train_rows, eval_dataset=validation_rows, **kwargs)
        self.network, self.train_rows, self.validation_rows = network, train_rows, validation_rows
        self.curves, self.tokenizer, self.decoded = curves, tokenizer, decoded
        self.dtype, self.label_smoothing, self.loader_workers = dtype, label_smoothing, loader_workers
        self.remove_callback(PrinterCallback)

    def get_train_dataloader(self) -> EpochLoader:
        return self._loader(self.train_rows)

    def _loader(self, rows: EpochBatches) -> EpochLoader:
        return EpochLoader(rows, n_workers=self.loader_workers, pin_memory=self.args.device.type == "cuda")

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """To the callbacks alone: a history would grow with each step, in memory and in each checkpoint."""
        super().log(logs, start_time)
        self.state.log_history.clear()

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> Any:
        began_s = time.monotonic()
        samples = super().get_batch_samples(*args, **kwargs)
        self.curves.waited_s += time.monotonic() - began_s
        return samples

    def compute_loss(self, model: torch.nn.Module, inputs: Batch, *args: Any, **kwargs: Any) -> torch.Tensor:
        """The micro-batch's share of the global batch's loss: its token losses over the targets of all parts.

        Times the number of processes, over whose gradients DDP takes the mean.
        """
        return self._token_losses(model, inputs) * self.args.world_size / inputs["n_targets"]

    def _token_losses(self, model: torch.nn.Module, inputs: Batch) -> torch.Tensor:
        """The sum of the losses of all tokens that are not masked; smoothed in training only."""
        scored = inputs["labels"] != MASKED
        with autocast(self.args.device, self.dtype):
            logits = model(
                input_features=inputs["input_features"],
                decoder_input_ids=inputs["decoder_input_ids"],
                use_cache=False,
                scored=scored,  # the rest needs no logits
            )
        return F.cross_entropy(
            logits.float(),
            inputs["labels"][scored],
            reduction="sum",
            label_smoothing=self.label_smoothing if model.training else 0.0,
        )

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """The mean loss of a validation token and the WER of some clips, over all processes; neither without rows."""
        began_s = time.monotonic()
        metrics = measure(
            self.network,
            self._loader(self.validation_rows),
            self._token_losses,
            decoded=self.decoded,
            tokenizer=self.tokenizer,
            dtype=self.dtype,
            device=self.args.device,
            reduce=lambda sums: self.accelerator.reduce(sums, "sum"),
        )
        metrics["eval_s"] = time.monotonic() - began_s
        self.log(metrics)
        # This resets what asked for an evaluation.
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def in_any_process(self, flag: bool) -> bool:
        """Whether `flag` is true in any of the processes, all of which have to ask."""
        if self.args.world_size == 1:
            return flag
        return bool(self.accelerator.reduce(torch.tensor(float(flag), device=self.args.device), "sum") > 0)


class LastLook(TrainerCallback):
    """Looks at the validation split after the last step too, also if that is no multiple of `train.eval_steps`."""

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if state.global_step >= state.max_steps:
            control.should_evaluate = True
