"""Batches of the shards -> steps of training and looks at the validation split, by transformers' Trainer.

The loss of a step is the sum over its tokens divided by their number in the whole global batch: the same number however
the batch is divided over processes and accumulation.
"""

import time
from typing import Any

import torch
import torch.nn.functional as F
from transformers import PrinterCallback, Seq2SeqTrainer

from asr.batches import MASKED, Batch, EpochBatches, EpochLoader
from asr.device import autocast
from asr.whisper import WindowedWhisper

N_LOADER_WORKERS_CUDA = 2  # a CPU computes a step for seconds, and assembles its batch in milliseconds


class WhisperTrainer(Seq2SeqTrainer):
    """Trainer over `EpochBatches`, with a loss that is exact under accumulation and in several processes."""

    loss_is_scaled_for_ga = True  # by compute_loss, over the whole global batch

    def __init__(
        self,
        network: WindowedWhisper,
        train_rows: EpochBatches,
        validation_rows: EpochBatches,
        dtype: torch.dtype,
        **kwargs: Any,
    ) -> None:
        super().__init__(model=network, train_dataset=train_rows, eval_dataset=validation_rows, **kwargs)
        self.network, self.train_rows, self.validation_rows = network, train_rows, validation_rows
        self.dtype = dtype
        self.remove_callback(PrinterCallback)

    def get_train_dataloader(self) -> EpochLoader:
        return self._loader(self.train_rows)

    def _loader(self, dataset: EpochBatches) -> EpochLoader:
        on_gpu = self.args.device.type == "cuda"
        return EpochLoader(dataset, n_workers=N_LOADER_WORKERS_CUDA if on_gpu else 0, pin_memory=on_gpu)

    def compute_loss(self, model: torch.nn.Module, inputs: Batch, *args: Any, **kwargs: Any) -> torch.Tensor:
        """The micro-batch's share of the global batch's loss: its token losses over the targets of all parts.

        Times the number of processes, over whose gradients DDP takes the mean.
        """
        return self._token_losses(model, inputs) * self.args.world_size / inputs["n_targets"]

    def _token_losses(self, model: torch.nn.Module, inputs: Batch) -> torch.Tensor:
        """The sum of the losses of all tokens that are not masked."""
        with autocast(self.args.device, self.dtype):
            logits = model(
                input_features=inputs["input_features"],
                decoder_input_ids=inputs["decoder_input_ids"],
                use_cache=False,
            ).logits
        targets = inputs["labels"].flatten()
        return F.cross_entropy(logits.float().flatten(0, 1), targets, ignore_index=MASKED, reduction="sum")

    @torch.no_grad()
    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """The mean loss of a validation token, over all processes."""
        began_s = time.monotonic()
        self.network.eval()
        loss, n_targets = torch.zeros(2, dtype=torch.float64, device=self.args.device)
        for batch in self._loader(self.validation_rows):
            inputs = self._prepare_inputs(batch)
            loss += self._token_losses(self.network, inputs)
            n_targets += (inputs["labels"] != MASKED).sum()
        loss, n_targets = self.accelerator.reduce(torch.stack([loss, n_targets]))
        metrics = {"eval_loss": float(loss / n_targets), "eval_s": time.monotonic() - began_s}
        self.log(metrics)
        # This resets what asked for an evaluation.
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics
