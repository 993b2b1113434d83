"""The clips that an epoch takes -> its batches, in an order that (seed, epoch) alone decides.

Row groups permuted -> pools of some 500 clips, permuted -> of those of one encoder window, global batches of exactly
`batch_size` clips -> permuted. What a pool leaves over of a window is carried into the next one. A global batch is one
optimiser step; ranks and accumulation share it as micro-batches.

Which clips share a step is left to chance: batches of like length would pad less, but learn worse (docs/results.md).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from asr.loading.blocks import Block
from asr.loading.rows import Drawn, RowNumbers


@dataclass(frozen=True)
class Layout:
    """Who reads: process `rank` of `world`, each of which takes `accumulation` parts of every global batch."""

    rank: int = 0
    world: int = 1
    accumulation: int = 1


@dataclass(frozen=True)
class MicroBatch:
    """The clips of one forward pass, and the target tokens in the whole global batch that it is a part of.

    `rows` and `times` are of each clip its row and how often that came in the epoch before; `window` is in frames.
    `filler`: the global batch had fewer clips than parts; this one repeats a clip whose targets are all masked.
    """

    rows: RowNumbers
    times: RowNumbers
    window: int
    n_targets: int
    filler: bool


def plan_epoch(
    blocks: list[Block], drawn: Drawn, batch_size: int, seed: tuple[int, int] | None, pool_size: int
) -> list[RowNumbers]:
    """The global batches of an epoch, of numbers of clips in `drawn`: each once, `batch_size` of one window in each,
    less where one runs out. In a batch they are sorted by the length of their labels.

    `seed` is (seed, epoch); None keeps the blocks in the index' order, for validation, where batches are of like
    length, too.
    """
    random = None if seed is None else np.random.default_rng(seed)
    batches: list[RowNumbers] = []
    carried: dict[int, RowNumbers] = {}
    for clips, is_last in _pools(blocks, drawn, random, pool_size):
        in_pool: list[RowNumbers] = []
        for window in sorted({*carried, *drawn.windows[clips].tolist()}):
            # The carried clips come first, so that none waits for longer than a pool.
            of_window = np.concatenate([carried.pop(window, clips[:0]), clips[drawn.windows[clips] == window]])
            n_taken = len(of_window) if is_last else len(of_window) // batch_size * batch_size
            carried[window] = of_window[n_taken:]
            taken = of_window[:n_taken] if random else _by_length(of_window[:n_taken], drawn)
            in_pool += [_by_length(taken[first : first + batch_size], drawn) for first in range(0, n_taken, batch_size)]
        order = random.permutation(len(in_pool)).tolist() if random else range(len(in_pool))
        batches += [in_pool[position] for position in order]
    return batches


def _by_length(clips: RowNumbers, drawn: Drawn) -> RowNumbers:
    return clips[np.argsort(drawn.n_labels[clips], kind="stable")]


def _pools(
    blocks: list[Block], drawn: Drawn, random: np.random.Generator | None, pool_size: int
) -> Iterator[tuple[RowNumbers, bool]]:
    """The clips of whole blocks, together at least `pool_size` of them, shuffled unless `random` is None; the last
    pool may be smaller."""
    order = list(range(len(blocks))) if random is None else random.permutation(len(blocks)).tolist()
    ends = np.searchsorted(drawn.rows, [block.first_row + block.n_rows for block in blocks])
    starts = np.searchsorted(drawn.rows, [block.first_row for block in blocks])
    pool: list[RowNumbers] = []
    n_clips = 0
    for position, number in enumerate(order):
        pool.append(np.arange(starts[number], ends[number]))
        n_clips += len(pool[-1])
        is_last = position == len(order) - 1
        if n_clips >= pool_size or is_last:
            clips = np.concatenate(pool)
            yield (clips if random is None else random.permutation(clips)), is_last
            pool, n_clips = [], 0


def divide(batch: RowNumbers, drawn: Drawn, layout: Layout) -> list[MicroBatch]:
    """The parts of a global batch that `layout.rank` computes, one for each of its accumulation steps.

    All ranks and steps have a part, so that none waits for another for ever. The clips come sorted by length, and ranks
    that compute at the same time get neighbouring parts: they take about as long.
    """
    n_targets = int((drawn.n_labels[batch] - 1).sum())  # the first label is the start token, which is never predicted
    window = int(drawn.windows[batch[0]])
    parts = np.array_split(batch, layout.world * layout.accumulation)
    mine = []
    for part in parts[layout.rank :: layout.world]:
        clips = part if len(part) else batch[:1]
        rows = drawn.rows[clips]
        times = clips - np.searchsorted(drawn.rows, rows)
        mine.append(MicroBatch(rows, times, window, n_targets, filler=not len(part)))
    return mine
