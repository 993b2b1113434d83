"""What shards hold of some clips -> the tensors of a batch.

Axis names: B batch, T frames, M mel bins, L labels.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from asr.features import DYNAMIC_RANGE, SILENCE
from asr.shards import decode_log_mel

MASKED = -100  # the target that torch's cross-entropy leaves out

Batch = dict[str, Any]
Labels = NDArray[np.int32]


def pieces(column: pa.ChunkedArray, dtype: np.dtype[Any]) -> list[NDArray[Any]]:
    """The values of each row of a column of binaries or lists without nulls, as views of Arrow's own memory."""
    pieces = []
    for chunk in column.chunks:
        # [validity, offsets, values] of a binary; a list has another validity before its values.
        buffers = chunk.buffers()
        offsets = np.frombuffer(buffers[1], np.int32)[chunk.offset : chunk.offset + len(chunk) + 1].tolist()
        values = np.frombuffer(buffers[-1], dtype) if buffers[-1] else np.empty(0, dtype)
        pieces += [values[first:last] for first, last in pairwise(offsets)]
    return pieces


def fill(padded: torch.Tensor, log_mel: NDArray[np.uint8], codec: str) -> None:
    """Writes what the codec wrote of a clip into `padded` (M, T), as `asr.features.pad_log_mel` would pad it."""
    n_mels, n_t = padded.shape
    if codec == "float16":
        # torch casts float16 seven times as fast as numpy does.
        mel = torch.from_numpy(log_mel.view("<f2").reshape(n_mels, -1))
    else:
        mel = torch.from_numpy(decode_log_mel(log_mel.tobytes(), n_mels, codec))
    kept = min(mel.shape[1], n_t)
    padded[:, :kept] = mel[:, :kept]
    if kept < n_t:
        padded[:, kept:] = max(float(mel.max()) - DYNAMIC_RANGE, SILENCE)


def collate_labels(labels: Sequence[Labels], pad_id: int) -> Batch:
    """Label sequences (L,) as what Whisper's decoder takes: two tensors (B, L - 1).

    `decoder_input_ids`: each sequence without its last label, then `pad_id`. `labels`: without its first, then -100.
    The mask is made from the lengths: the padding token is also the token that ends every sequence, which has to be
    learnt.
    """
    shape = len(labels), max(map(len, labels)) - 1
    inputs, targets = np.full(shape, pad_id), np.full(shape, MASKED)
    for row, sequence in enumerate(labels):
        inputs[row, : len(sequence) - 1] = sequence[:-1]
        targets[row, : len(sequence) - 1] = sequence[1:]
    return {"decoder_input_ids": torch.from_numpy(inputs), "labels": torch.from_numpy(targets)}
