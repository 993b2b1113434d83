"""The index of the shards -> padded tensors, batch by batch, as `asr.epochs` plans them.

Axis names: B batch, T frames, M mel bins, L labels.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from asr import storage
from asr.epochs import Layout, MicroBatch, divide, plan_epoch, read_lengths, windows_of
from asr.features import pad_log_mel
from asr.shards import decode_log_mel, open_shard, read_index

POOL_ROWS = 2_000  # held compressed: 30 MB for clips of 2 s, 400 MB for clips of 30 s
OPEN_SHARDS = 32  # of which the footer is kept, so that a row group is one read
COLUMNS = ["id", "log_mel", "labels"]
MASKED = -100  # the target that torch's cross-entropy leaves out
ALONE = Layout()

Batch = dict[str, Any]


class EpochBatches(IterableDataset[Batch]):
    """The micro-batches of one rank, collated, for one epoch at a time (`set_epoch`).

    The order does not depend on the number of DataLoader workers. A block is read once, when the first of its rows is
    due; of its rows only those are kept, compressed, that this rank and worker still needs.
    """

    def __init__(
        self,
        features: Path,
        split: str,
        *,
        batch_size: int,
        window_s: int,
        pad_id: int,
        seed: int | None = None,
        layout: Layout = ALONE,
        start: tuple[int, int] = (0, 0),
        pool_rows: int = POOL_ROWS,
    ) -> None:
        """`seed` None: a fixed order, for validation. `start`: the epoch and step where a resumed training goes on; the
        steps before it are skipped without being read."""
        self.index = read_index(features)
        self.lengths = read_lengths(self.index, split)
        self.windows = windows_of(self.lengths.n_frames, window_s)
        self.batch_size, self.pad_id, self.seed = batch_size, pad_id, seed
        self.layout, self.start, self.pool_rows = layout, start, pool_rows
        self.epoch = start[0]
        self._first_rows = np.array([block.first_row for block in self.lengths.blocks])

    @property
    def n_rows(self) -> int:
        return len(self.windows)

    @property
    def n_steps(self) -> int:
        """Global batches in an epoch: each window's rows fill all of its batches but the last."""
        _, n_rows = np.unique(self.windows, return_counts=True)
        return int(np.ceil(n_rows / self.batch_size).sum())

    def __len__(self) -> int:
        return self.n_steps * self.layout.accumulation

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def schedule(self) -> list[MicroBatch]:
        """What this rank computes in the current epoch, from the step on where it starts."""
        seed = None if self.seed is None else (self.seed, self.epoch)
        batches = plan_epoch(self.lengths, self.windows, self.batch_size, seed, self.pool_rows)
        first_step = self.start[1] if self.epoch == self.start[0] else 0
        return [part for batch in batches[first_step:] for part in divide(batch, self.lengths.n_labels, self.layout)]

    def __iter__(self) -> Iterator[Batch]:
        worker = get_worker_info()
        # DataLoader takes from its workers in turn, so this restores the order.
        schedule = self.schedule()[worker.id :: worker.num_workers] if worker else self.schedule()
        rows_due = np.zeros(self.n_rows, dtype=np.int32)
        for part in schedule:
            rows_due[part.rows] += 1
        held: dict[int, dict[str, Any]] = {}
        # Opened here, in the process that reads: what a parent has opened is no use to a forked worker.
        opened = lru_cache(OPEN_SHARDS)(open_shard)
        for part in schedule:
            for row in part.rows.tolist():
                if row not in held:
                    held |= self._read_block_of(row, rows_due, opened)
            rows = [held[row] for row in part.rows.tolist()]
            rows_due[part.rows] -= 1
            for row in part.rows.tolist():
                if not rows_due[row]:
                    del held[row]
            yield self._collate(rows, part)

    def _read_block_of(
        self, row: int, rows_due: NDArray[np.int32], opened: Callable[[str], pq.ParquetFile]
    ) -> dict[int, dict[str, Any]]:
        """The rows of the block that holds `row`, by number, without those that are no longer due."""
        block = self.lengths.blocks[int(np.searchsorted(self._first_rows, row, side="right")) - 1]
        uri = storage.join(self.index.root, block.shard)
        with storage.explained(uri, needed=True):
            table = opened(uri).read_row_group(block.row_group, COLUMNS)
        due = np.flatnonzero(rows_due[block.first_row : block.first_row + block.n_rows])
        return dict(zip((due + block.first_row).tolist(), table.take(due).to_pylist(), strict=True))

    def _collate(self, rows: list[dict[str, Any]], part: MicroBatch) -> Batch:
        mels = [decode_log_mel(row["log_mel"], self.index.n_mels, self.index.codec) for row in rows]
        batch = collate(mels, [row["labels"] for row in rows], int(self.windows[part.rows[0]]), self.pad_id)
        if part.filler:
            batch["labels"].fill_(MASKED)
        return {
            **batch,
            "n_targets": torch.tensor(part.n_targets),
            "ids": [row["id"] for row in rows],
            "n_frames": torch.from_numpy(self.lengths.n_frames[part.rows]),
        }


def collate(mels: list[NDArray[np.float32]], labels: list[list[int]], n_frames: int, pad_id: int) -> Batch:
    """Clips (M, T) and label sequences (L,) as what Whisper's forward takes.

    `input_features` float32 (B, M, n_frames), refilled with each clip's own floor; `decoder_input_ids` (B, L - 1), each
    sequence without its last label, then `pad_id`; `labels` (B, L - 1), without its first, then -100. The mask is
    made from the lengths: the padding token is also the token that ends every sequence, which has to be learnt.
    """
    longest = max(map(len, labels)) - 1
    inputs = torch.full((len(labels), longest), pad_id)
    targets = torch.full((len(labels), longest), MASKED)
    for row, sequence in enumerate(labels):
        inputs[row, : len(sequence) - 1] = torch.tensor(sequence[:-1])
        targets[row, : len(sequence) - 1] = torch.tensor(sequence[1:])
    padded = np.stack([pad_log_mel(mel, n_frames) for mel in mels])
    return {"input_features": torch.from_numpy(padded), "decoder_input_ids": inputs, "labels": targets}


class EpochLoader(DataLoader[Batch]):
    """A DataLoader over `EpochBatches` that hands Trainer's epoch on to it."""

    def __init__(self, dataset: EpochBatches, n_workers: int = 0, pin_memory: bool = False) -> None:
        super().__init__(dataset, batch_size=None, num_workers=n_workers, pin_memory=pin_memory)

    def set_epoch(self, epoch: int) -> None:
        assert isinstance(self.dataset, EpochBatches)
        self.dataset.set_epoch(epoch)
