"""The lengths of a split's rows -> the batches of an epoch, in an order that (seed, epoch) alone decides.

Row groups permuted -> pools of some 2,000 rows -> in a pool, rows of one encoder window sorted by the length of their
labels -> global batches of exactly `batch_size` rows -> permuted. What a pool leaves over of a window is carried into
the next one. A global batch is one optimiser step; ranks and accumulation share it as micro-batches.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from asr import storage
from asr.features import MAX_FRAMES
from asr.shards import Index, open_shard
from asr.whisper import window_frames

RowNumbers = NDArray[np.int64]


class Block(NamedTuple):
    """A row group of a shard: `n_rows` rows, the first of which is row `first_row` of its split."""

    shard: str
    row_group: int
    first_row: int
    n_rows: int


@dataclass(frozen=True)
class Lengths:
    """What the plan of an epoch needs to know of a split: its blocks, and the frames and labels of each row."""

    blocks: list[Block]
    n_frames: NDArray[np.int32]
    n_labels: NDArray[np.int32]


@dataclass(frozen=True)
class Layout:
    """Who reads: process `rank` of `world`, each of which takes `accumulation` parts of every global batch."""

    rank: int = 0
    world: int = 1
    accumulation: int = 1


@dataclass(frozen=True)
class MicroBatch:
    """The rows of one forward pass, and the target tokens in the whole global batch that it is a part of.

    `filler`: the global batch had fewer rows than parts; this one repeats a row whose targets are all masked.
    """

    rows: RowNumbers
    n_targets: int
    filler: bool


def read_lengths(index: Index, split: str) -> Lengths:
    """Frames and labels of all rows of `split`, in the order of the index; reads these two columns only."""
    blocks: list[Block] = []
    n_frames: list[NDArray[np.int32]] = [np.empty(0, np.int32)]
    n_labels: list[NDArray[np.int32]] = [np.empty(0, np.int32)]
    n_rows = 0
    for entry in index.splits.get(split, []):
        uri = storage.join(index.root, entry.name)
        with storage.explained(uri, needed=True), open_shard(uri) as shard:
            for group in range(shard.num_row_groups):
                columns = shard.read_row_group(group, columns=["n_frames", "labels"])
                blocks.append(Block(entry.name, group, n_rows, columns.num_rows))
                n_frames.append(columns["n_frames"].to_numpy())
                n_labels.append(pc.list_value_length(columns["labels"]).to_numpy())
                n_rows += columns.num_rows
    return Lengths(blocks, np.concatenate(n_frames), np.concatenate(n_labels))


def windows_of(n_frames: NDArray[np.int32], window_s: int) -> NDArray[np.int32]:
    """`window_frames` of each clip."""
    table = np.array([window_frames(n, window_s) for n in range(MAX_FRAMES + 1)], dtype=np.int32)
    return table[n_frames]


def plan_epoch(
    lengths: Lengths,
    windows: NDArray[np.int32],
    batch_size: int,
    seed: tuple[int, int] | None,
    pool_rows: int,
) -> list[RowNumbers]:
    """The global batches of an epoch: every row once, `batch_size` rows of one window each, less where one runs out.

    `seed` is (seed, epoch); None keeps the blocks in the index' order, for validation. The number of batches is the
    same in every epoch.
    """
    random = None if seed is None else np.random.default_rng(seed)
    batches: list[RowNumbers] = []
    carried: dict[int, RowNumbers] = {}
    for rows, is_last in _pools(lengths.blocks, random, pool_rows):
        in_pool: list[RowNumbers] = []
        for window in sorted({*carried, *windows[rows].tolist()}):
            # The carried rows come first, so that none waits for longer than a pool.
            of_window = np.concatenate([carried.pop(window, rows[:0]), rows[windows[rows] == window]])
            n_taken = len(of_window) if is_last else len(of_window) // batch_size * batch_size
            carried[window] = of_window[n_taken:]
            taken = of_window[:n_taken]
            taken = taken[np.argsort(lengths.n_labels[taken], kind="stable")]
            in_pool += [taken[first : first + batch_size] for first in range(0, n_taken, batch_size)]
        order = range(len(in_pool)) if random is None else random.permutation(len(in_pool))
        batches += [in_pool[position] for position in order]
    return batches


def _pools(
    blocks: list[Block], random: np.random.Generator | None, pool_rows: int
) -> Iterator[tuple[RowNumbers, bool]]:
    """Whole blocks of together at least `pool_rows` rows, shuffled unless `random` is None; the last may be smaller."""
    order = list(range(len(blocks))) if random is None else random.permutation(len(blocks)).tolist()
    pool: list[RowNumbers] = []
    n_rows = 0
    for position, number in enumerate(order):
        block = blocks[number]
        pool.append(np.arange(block.first_row, block.first_row + block.n_rows))
        n_rows += block.n_rows
        is_last = position == len(order) - 1
        if n_rows >= pool_rows or is_last:
            rows = np.concatenate(pool)
            yield (rows if random is None else random.permutation(rows)), is_last
            pool, n_rows = [], 0


def divide(batch: RowNumbers, n_labels: NDArray[np.int32], layout: Layout) -> list[MicroBatch]:
    """The parts of a global batch that `layout.rank` computes, one for each of its accumulation steps.

    All ranks and steps have a part, so that none waits for another for ever. The rows come sorted by length, and ranks
    that compute at the same time get neighbouring parts: they take about as long.
    """
    n_targets = int((n_labels[batch] - 1).sum())  # the first label is the start token, which is never predicted
    parts = np.array_split(batch, layout.world * layout.accumulation)
    mine = parts[layout.rank :: layout.world]
    return [MicroBatch(rows if len(rows) else batch[:1], n_targets, filler=not len(rows)) for rows in mine]
