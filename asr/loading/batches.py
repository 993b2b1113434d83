"""The index of the shards -> padded tensors, batch by batch, as `asr.loading.epochs` plans them.

Axis names: B batch, T frames, M mel bins, L labels.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from asr.errors import UserError
from asr.loading.blocks import Block, Shards, read_ahead
from asr.loading.collation import MASKED, Batch, Labels, collate_labels, fill, pieces
from asr.loading.epochs import Layout, MicroBatch, divide, plan_epoch
from asr.loading.rows import AS_THEY_ARE, Drawn, Sampling, draw, draw_times, read_lengths, windows_of
from asr.loading.spec_augment import mask
from asr.loading.timestamps import with_timestamps
from asr.shards import read_index

POOL_SIZE = 500  # clips, held as the codec has them: float16 40 MB for clips of 5 s, 240 MB for those of 30 s
COLUMNS = ["id", "log_mel", "labels", "duration_s"]
PREFETCHED = 4  # batches of each worker: at the start of a pool several blocks are due at once
ALONE = Layout()


class Row(NamedTuple):
    """A row of a shard as it waits for its batch; `log_mel` as the codec wrote it."""

    name: str
    log_mel: NDArray[np.uint8]
    labels: Labels


class EpochBatches(IterableDataset[Batch]):
    """The micro-batches of one rank, collated, for one epoch at a time (`set_epoch`).

    The order does not depend on the number of DataLoader workers. A block is read once, somewhat before the first of
    its rows is due; of its rows only those are kept that this rank and worker still needs.
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
        sampling: Sampling = AS_THEY_ARE,
        weights: NDArray[np.float64] | None = None,
        pool_size: int = POOL_SIZE,
    ) -> None:
        """`seed` None: a fixed order of the rows as they are, for validation. `start`: the epoch and step where a
        resumed training goes on; the steps before it are skipped without being read. `weights`: how often each row
        comes beside the others, 0 never; None: all alike.

        Raises `UserError` for a shard that is missing or not of the size that the index tells.
        """
        self.index, self.split = read_index(features), split
        with closing(Shards(self.index, split)) as shards:
            self.lengths = read_lengths(shards)
        self.windows = windows_of(self.lengths.n_frames, window_s)
        self.with_times = draw_times(self.lengths, sampling, seed)
        self.batch_size, self.pad_id, self.seed = batch_size, pad_id, seed
        self.layout, self.start, self.sampling, self.pool_size = layout, start, sampling, pool_size
        self.weights = weights
        self.epoch = start[0]
        _, n_clips = np.unique(self._drawn().windows, return_counts=True)
        # In any epoch: each window's clips fill all of its global batches but the last.
        self.n_clips, self.n_steps = int(n_clips.sum()), int(np.ceil(n_clips / batch_size).sum())
        self._checked = torch.zeros(len(self.index.splits.get(split, [])), dtype=torch.bool).share_memory_()
        self._first_rows = np.array([block.first_row for block in self.lengths.blocks])

    @property
    def n_rows(self) -> int:
        return len(self.windows)

    def __len__(self) -> int:
        return self.n_steps * self.layout.accumulation

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    @property
    def _seed(self) -> tuple[int, int] | None:
        return None if self.seed is None else (self.seed, self.epoch)

    def _drawn(self) -> Drawn:
        return draw(self.lengths, self.windows, self.with_times, self.sampling, self._seed, self.weights)

    def schedule(self) -> list[MicroBatch]:
        """What this rank computes in the current epoch, from the step on where it starts."""
        drawn = self._drawn()
        batches = plan_epoch(self.lengths.blocks, drawn, self.batch_size, self._seed, self.pool_size)
        first_step = self.start[1] if self.epoch == self.start[0] else 0
        return [part for batch in batches[first_step:] for part in divide(batch, drawn, self.layout)]

    def __iter__(self) -> Iterator[Batch]:
        try:
            for batch in self._batches():
                yield _as_message(batch) if get_worker_info() else batch
        except UserError as error:
            if not get_worker_info():
                raise
            # A DataLoader would make a traceback of it; `EpochLoader` raises it.
            yield {"error": error}

    def _batches(self) -> Iterator[Batch]:
        worker = get_worker_info()
        # DataLoader takes from its workers in turn, so this restores the order.
        schedule = self.schedule()[worker.id :: worker.num_workers] if worker else self.schedule()
        rows_due = np.zeros(self.n_rows, dtype=np.int32)
        for part in schedule:
            np.add.at(rows_due, part.rows, 1)
        # Opened here, in the process that reads: what a parent has opened is no use to a forked worker.
        with (
            closing(Shards(self.index, self.split, self._checked)) as shards,
            closing(read_ahead(shards, self._blocks_due(schedule), COLUMNS)) as blocks,
        ):
            held: dict[int, Row] = {}
            for part in schedule:
                numbers = part.rows.tolist()
                while any(number not in held for number in numbers):
                    held |= self._rows_due(*next(blocks), rows_due)
                yield self._collate([held[number] for number in numbers], part)
                np.subtract.at(rows_due, part.rows, 1)
                for number in set(numbers):
                    if not rows_due[number]:
                        del held[number]

    def _blocks_due(self, schedule: list[MicroBatch]) -> list[Block]:
        """In the order in which the first of their rows are due."""
        rows = np.concatenate([np.empty(0, np.int64), *(part.rows for part in schedule)])
        numbers, first_due = np.unique(np.searchsorted(self._first_rows, rows, side="right") - 1, return_index=True)
        return [self.lengths.blocks[number] for number in numbers[np.argsort(first_due)].tolist()]

    def _rows_due(self, block: Block, table: pa.Table, rows_due: NDArray[np.int32]) -> dict[int, Row]:
        """The rows of a block, by number, without those that are not due."""
        names, durations_s = table["id"].to_pylist(), table["duration_s"].to_numpy()
        mels, labels = pieces(table["log_mel"], np.dtype(np.uint8)), pieces(table["labels"], np.dtype(np.int32))
        rows = {}
        for row in np.flatnonzero(rows_due[block.first_row : block.first_row + block.n_rows]).tolist():
            number = block.first_row + row
            sequence = labels[row].copy()
            if self.with_times[number]:
                sequence = with_timestamps(sequence, float(durations_s[row]), self.sampling.no_timestamps)
            # A copy: a view would keep the whole block until its last row has gone.
            rows[number] = Row(names[row], mels[row].copy(), sequence)
        return rows

    def _collate(self, rows: list[Row], part: MicroBatch) -> Batch:
        n_frames = self.lengths.n_frames[part.rows]
        batch = {
            "input_features": torch.empty((len(rows), self.index.n_mels, part.window)),
            **collate_labels([row.labels for row in rows], self.pad_id),
        }
        for row, padded in zip(rows, batch["input_features"], strict=True):
            fill(padded, row.log_mel, self.index.codec)
        rules = self.sampling.spec_augment
        if self._seed is not None and (rules.mel_masks or rules.time_masks):
            clips = zip(batch["input_features"].numpy(), n_frames, part.rows, part.times, strict=True)
            for padded, own, number, time in clips:
                mask(padded, min(int(own), part.window), rules, (*self._seed, int(number), int(time)))
        if part.filler:
            batch["labels"].fill_(MASKED)
        return {
            **batch,
            "n_targets": torch.tensor(part.n_targets),
            "ids": [row.name for row in rows],
            "n_frames": torch.from_numpy(n_frames),
        }


def _as_message(batch: Batch) -> Batch:
    """As a worker sends it: two processes take longer to agree on a tensor's shared memory than to copy a small one."""
    return {name: it.numpy() if torch.is_tensor(it) and name != "input_features" else it for name, it in batch.items()}


def _received(batch: Batch) -> Batch:
    if "error" in batch:
        raise batch["error"]
    return {name: torch.from_numpy(it) if isinstance(it, np.ndarray) else it for name, it in batch.items()}


def _one_ahead(batches: Iterator[Batch]) -> Iterator[Batch]:
    """The batches, of which a thread fetches the next meanwhile: to receive one from a worker takes milliseconds.

    None is held here while it is used: to give back its memory takes a millisecond too.
    """
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, batches, None)

        def following() -> Batch | None:
            nonlocal coming
            arrived, coming = coming, thread.submit(next, batches, None)
            return arrived.result()

        yield from iter(following, None)


def _unchanged(batch: Any) -> Any:
    return batch


class EpochLoader(DataLoader[Batch]):
    """A DataLoader over `EpochBatches` that hands Trainer's epoch on to it."""

    def __init__(self, dataset: EpochBatches, n_workers: int = 0, pin_memory: bool = False) -> None:
        super().__init__(
            dataset,
            batch_size=None,
            collate_fn=_unchanged,
            num_workers=n_workers,
            prefetch_factor=PREFETCHED if n_workers else None,
            pin_memory=pin_memory,
            # Its own: an iteration that starts must not move torch's, which dropout draws from, or a training that is
            # resumed in the middle of an epoch would draw otherwise than one that is not.
            generator=torch.Generator(),
        )

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        """Raises `UserError` for a shard that can't be read, whichever process found it."""
        batches = super().__iter__()
        return map(_received, _one_ahead(batches) if self.num_workers else batches)

    def set_epoch(self, epoch: int) -> None:
        assert isinstance(self.dataset, EpochBatches)
        self.dataset.set_epoch(epoch)
