"""Features, a checkpoint, params and a machine -> an error before the first step, where they do not go together."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import WhisperConfig

from asr.clips.tokens import TOKENIZER
from asr.errors import UserError
from asr.features import FRAMES_PER_SECOND
from asr.loading.epochs import MicroBatch
from asr.models.whisper import FRAMES_PER_POSITION
from asr.params import Params, Train
from asr.shards import Index, sha256_of

if TYPE_CHECKING:
    from asr.train.trainer import WhisperTrainer

SAID_OUT_OF_MEMORY = ("can't allocate memory", "not enough memory", "out of memory", "cannot allocate memory")


def check(index: Index, base: Path, config: WhisperConfig, params: Params, n_processes: int) -> None:
    """Raises `UserError` unless the features, the checkpoint in `base` with its `config` and the params go together."""
    features, train = index.root, params.train
    if index.n_mels != config.num_mel_bins:
        raise UserError(
            f"{features} has {index.n_mels} mel bins, but the checkpoint wants {config.num_mel_bins}; "
            "run `dvc repro preprocess`"
        )
    if index.tokenizer and index.tokenizer != sha256_of(base / TOKENIZER):
        raise UserError(f"{features} has the labels of another tokenizer than {base}'s; run `dvc repro preprocess`")
    if not index.rows("train"):
        raise UserError(f"{features} has no train rows; see its rejects.parquet and data.split")
    if train.select != "last" and not index.rows("validation"):
        raise UserError(
            f"train.select is {train.select}, but {features} has no validation rows; set it to last, or give "
            "data.split.validation a share"
        )
    if n_processes > train.batch_size:
        raise UserError(
            f"train.batch_size {train.batch_size} has no clip for each of {n_processes} processes; raise it, or lower "
            "TRAIN_PROCESSES"
        )


def check_batch(train: Train, n_clips: int) -> None:
    """Raises `UserError` unless an epoch has the clips of a step."""
    if train.batch_size > n_clips:
        raise UserError(f"train.batch_size {train.batch_size} is over the {n_clips} train rows there are; lower it")


def accumulation(train: Train, n_processes: int) -> int:
    """The parts of a step that each process computes: as many as `train` says, but none without a clip."""
    return max(1, min(train.gradient_accumulation_steps, train.batch_size // n_processes))


def check_rows(windows: NDArray[np.int32], n_labels: NDArray[np.int32], config: WhisperConfig) -> None:
    """Raises `UserError` unless the model has positions for all rows: their windows (frames) and their labels."""
    longest = config.max_source_positions * FRAMES_PER_POSITION
    if windows.max(initial=0) > longest:
        n_long, seconds = int((windows > longest).sum()), longest / FRAMES_PER_SECOND
        raise UserError(
            f"{n_long} clips need a longer window than the {seconds:g} s that the checkpoint has positions for; "
            f"lower model.window_s and audio.max_s to {seconds:g} at most"
        )
    # The last label is never put in.
    if n_labels.max(initial=0) - 1 > config.max_target_positions:
        n_long = int((n_labels - 1 > config.max_target_positions).sum())
        raise UserError(
            f"{n_long} rows have more labels than the decoder's {config.max_target_positions} positions; "
            "run `dvc repro -f preprocess`, which rejects them"
        )


@contextmanager
def explained_memory(train: Train) -> Iterator[None]:
    """Turns running out of memory inside, on a GPU or not, into `UserError` with what would need less."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise UserError(_remedy(train, error)) from None
    except RuntimeError as error:
        if not any(words in str(error).lower() for words in SAID_OUT_OF_MEMORY):
            raise
        raise UserError(_remedy(train, error)) from None


def _remedy(train: Train, error: BaseException) -> str:
    what = "the GPU" if isinstance(error, torch.OutOfMemoryError) else "this machine"
    ways = []
    parts = [n for n in range(train.gradient_accumulation_steps + 1, train.batch_size + 1) if train.batch_size % n == 0]
    if parts:
        ways.append(f"raise train.gradient_accumulation_steps from {train.gradient_accumulation_steps} to {parts[0]}")
    if not train.activation_checkpointing:
        ways.append("set train.activation_checkpointing: true")
    ways.append("lower model.window_s")
    return f"out of memory on {what}; {', or '.join(ways)}"


class Shape(NamedTuple):
    """Of a micro-batch: B, T and L."""

    n_clips: int
    n_frames: int
    n_labels: int


def largest(parts: Iterable[MicroBatch], n_labels: NDArray[np.int32]) -> Shape:
    """The shape that takes most memory: by window x clips, then by labels. `n_labels` has those of each row."""
    shapes = [Shape(len(part.rows), part.window, int(n_labels[part.rows].max()) - 1) for part in parts]
    return max(shapes, key=lambda shape: (shape.n_clips * shape.n_frames, shape.n_clips * shape.n_labels))


def try_largest(trainer: "WhisperTrainer", *, force: bool = False) -> None:
    """Computes once what this rank's largest micro-batch of the first epoch takes, so that memory runs out at once.

    Only on CUDA, unless forced. Neither weights nor gradients nor the state of a random generator are changed by it.
    """
    device, rows, network = trainer.args.device, trainer.train_rows, trainer.network
    if device.type != "cuda" and not force:
        return
    shape = largest(rows.schedule(), rows.lengths.n_labels + rows.with_times)
    ids = torch.zeros(shape.n_clips, shape.n_labels, dtype=torch.int64, device=device)
    mels = torch.zeros(shape.n_clips, network.config.num_mel_bins, shape.n_frames, device=device)
    inputs = {"input_features": mels, "decoder_input_ids": ids, "labels": ids, "n_targets": torch.tensor(ids.numel())}
    trained = [weight for weight in network.parameters() if weight.requires_grad]
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        moments = [torch.empty_like(weight) for weight in trained for _ in range(2)]  # AdamW's, from the first step on
        network.train()
        trainer.compute_loss(network, inputs).backward()
    del moments
    network.zero_grad(set_to_none=True)
    torch.cuda.empty_cache()
