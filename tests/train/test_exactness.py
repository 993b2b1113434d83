"""A step's gradient is the same however its batch is divided, and a clip's loss whatever its batch mates are."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy
from torch.optim.optimizer import register_optimizer_step_pre_hook

from asr.loading.batches import EpochBatches
from asr.models.checkpoints import load_model
from asr.models.whisper import WindowedWhisper
from asr.params import Model, Params, Train
from asr.train.attempt import Attempt
from asr.train.training import train
from tests.builders import example, write_features

PREFIX, END = [50258, 50259, 50359, 50363], 50257


@pytest.fixture(scope="module")
def features(tmp_path_factory) -> Path:
    """Eight clips of 0.2 to 0.9 s, with 6 to 20 labels."""
    folder = tmp_path_factory.mktemp("features")
    rows = [example(f"clip-{n}", 0.2 + 0.1 * n, [*PREFIX, *range(400, 401 + 2 * n), END]) for n in range(8)]
    write_features(folder, {"train": rows})
    return folder


def first_gradient(base: Path, features: Path, folder: Path, accumulation: int) -> torch.Tensor:
    """Of all weights, in one row, as the optimiser gets it in the first step."""
    gradients: list[torch.Tensor] = []

    def keep(optimizer, args, kwargs):
        gradients.extend(
            weight.grad.flatten().clone() for group in optimizer.param_groups for weight in group["params"]
        )

    choices = Train(
        max_steps=1, batch_size=8, gradient_accumulation_steps=accumulation, precision="float32", warmup_steps=0
    )
    handle = register_optimizer_step_pre_hook(keep)
    try:
        params = Params(model=Model(window_s=1), train=choices)
        train(base, features, folder / "model", params, lambda metrics, step: None, Attempt(folder / "attempt"))
    finally:
        handle.remove()
    return torch.cat(gradients)


@pytest.fixture(scope="module")
def undivided(scratch, features, tmp_path_factory) -> torch.Tensor:
    return first_gradient(scratch, features, tmp_path_factory.mktemp("undivided"), 1)


@pytest.mark.parametrize("accumulation", [2, 4])
def test_accumulation_leaves_the_gradient_as_it_is(scratch, features, undivided, tmp_path, accumulation):
    gradient = first_gradient(scratch, features, tmp_path, accumulation)
    assert undivided.norm() > 0.1
    assert (gradient - undivided).norm() < 1e-5 * undivided.norm()


def clip_losses(network: WindowedWhisper, features: Path, batch_size: int) -> dict[str, float]:
    """The sum of each clip's token losses, in batches of so many."""
    losses = {}
    for batch in EpochBatches(features, "train", batch_size=batch_size, window_s=1, pad_id=END):
        with torch.no_grad():
            logits = network(batch["input_features"], decoder_input_ids=batch["decoder_input_ids"]).logits
        of_tokens = cross_entropy(logits.transpose(1, 2), batch["labels"], ignore_index=-100, reduction="none")
        losses |= dict(zip(batch["ids"], of_tokens.sum(1).tolist(), strict=True))
    return losses


def test_a_clip_s_loss_does_not_depend_on_its_batch_mates(scratch, features):
    network = load_model(scratch, WindowedWhisper).eval()
    alone = clip_losses(network, features, batch_size=1)
    assert len(alone) == 8 and len(np.unique(np.round(list(alone.values()), 3))) == 8
    for batch_size in (3, 8):
        assert clip_losses(network, features, batch_size) == pytest.approx(alone, rel=1e-5)
