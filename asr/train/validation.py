"""A network and the validation split -> its mean loss over all tokens, and its word error rate on some of the clips.

In several processes each measures its own share of the split, and all get the same numbers.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from hashlib import blake2b
from pathlib import Path
from typing import Any

import torch
from transformers import WhisperTokenizer

from asr.evaluate.decode import BATCH_SIZE, decode_batch
from asr.evaluate.edits import edits
from asr.loading.batches import MASKED, Batch
from asr.models.whisper import WindowedWhisper
from asr.shards import read_columns

Clip = dict[str, Any]  # a row of a batch


def clips_to_decode(features: Path, split: str, n_clips: int) -> frozenset[str]:
    """The ids of `n_clips` clips of `split`, or of all if it has fewer: the same in every order and every process."""
    ids = read_columns(features, split, ["id"])["id"].to_pylist() if n_clips else []
    return frozenset(sorted(ids, key=lambda name: blake2b(name.encode()).digest())[:n_clips])


@torch.no_grad()
def measure(
    network: WindowedWhisper,
    loader: Iterable[Batch],
    token_losses: Callable[[WindowedWhisper, Batch], torch.Tensor],
    *,
    decoded: Collection[str],
    tokenizer: WhisperTokenizer,
    dtype: torch.dtype,
    device: torch.device,
    reduce: Callable[[torch.Tensor], torch.Tensor],
) -> dict[str, float]:
    """`eval_loss`, the mean loss of a token, and `eval_wer`, of the clips in `decoded`; neither of an empty split.

    `token_losses` gives the sum over a batch, without what only training wants (smoothed labels), as
    `network.training` tells it; `reduce` sums over all processes. The WER compares with the text that is trained, as
    written. Draws no random numbers, and leaves the network in the mode that it found.
    """
    was_training = network.training
    network.eval()
    # sums: loss, tokens; word errors, words
    sums = torch.zeros(4, dtype=torch.float64, device=device)
    waiting: dict[int, list[Clip]] = defaultdict(list)
    with torch.random.fork_rng(devices=[]):  # a DataLoader draws a seed for its workers
        for batch in loader:
            inputs = {name: part.to(device) if isinstance(part, torch.Tensor) else part for name, part in batch.items()}
            sums[0] += token_losses(network, inputs)
            sums[1] += (inputs["labels"] != MASKED).sum()
            for clip in _clips_of(batch, decoded):
                of_window = waiting[clip["input_features"].shape[-1]]
                of_window.append(clip)
                if len(of_window) == BATCH_SIZE:
                    sums[2:] += _word_errors(network, of_window, tokenizer, dtype).to(device)
                    of_window.clear()
    for of_window in filter(None, waiting.values()):
        sums[2:] += _word_errors(network, of_window, tokenizer, dtype).to(device)
    network.train(was_training)
    loss, n_tokens, n_errors, n_words = reduce(sums).tolist()
    metrics = {"eval_loss": loss / n_tokens} if n_tokens else {}
    return metrics | ({"eval_wer": n_errors / n_words} if n_words else {})


def _clips_of(batch: Batch, decoded: Collection[str]) -> list[Clip]:
    """The rows of a batch that are to be decoded; not those that only fill it up, whose labels are all masked."""
    columns = ("ids", "input_features", "decoder_input_ids", "labels", "n_frames")
    return [
        {name: batch[name][row] for name in columns}
        for row, name in enumerate(batch["ids"])
        if name in decoded and (batch["labels"][row] != MASKED).any()
    ]


def _word_errors(
    network: WindowedWhisper, clips: list[Clip], tokenizer: WhisperTokenizer, dtype: torch.dtype
) -> torch.Tensor:
    """Errors and reference words, (2,), over clips of one window."""
    shortest = min(len(clip["decoder_input_ids"]) for clip in clips)  # which has the prefix, and is longer than it
    batch = {
        "input_features": torch.stack([clip["input_features"] for clip in clips]),
        "decoder_input_ids": torch.stack([clip["decoder_input_ids"][:shortest] for clip in clips]),
        "n_frames": torch.stack([clip["n_frames"] for clip in clips]),
        "ids": [clip["ids"] for clip in clips],
    }
    heard = tokenizer.batch_decode(decode_batch(network, batch, dtype), skip_special_tokens=True)
    labels = [clip["labels"][clip["labels"] != MASKED].tolist() for clip in clips]
    said = tokenizer.batch_decode(labels, skip_special_tokens=True)
    counts = edits([text.strip() for text in said], [text.strip() for text in heard])
    return torch.tensor([counts[:, :3].sum(), counts[:, 3].sum()])
