"""The clips that an epoch takes -> its batches, in an order that (seed, epoch) alone decides.

Row groups permuted -> pools of some 1,000 clips -> in a pool, clips of one encoder window sorted by the
length of their labels -> global batches of exactly `batch_size` clips -> permuted. What a pool leaves over of a window
is carried into the next one. A global batch is one optimiser step; ranks and accumulation share it as micro-batches.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np

from asr.blocks import Block
from asr.rows import Drawn, RowNumbers

N_STRATA = 4  # of label lengths, one batch of each of which comes in any so many steps


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
    less where one runs out.

    `seed` is (seed, epoch); None keeps the blocks in the index' order, for validation.
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
            taken = of_window[:n_taken]
            taken = taken[np.argsort(drawn.n_labels[taken], kind="stable")]
            in_pool += [taken[first : first + batch_size] for first in range(0, n_taken, batch_size)]
        order = range(len(in_pool)) if random is None else _mixed(len(in_pool), random)
        batches += [in_pool[position] for position in order]
    return batches


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


def _mixed(n: int, random: np.random.Generator) -> list[int]:
    """The numbers under `n`, permuted so that any `N_STRATA` from a multiple of it on are of all parts of the range.

    Batches of long labels differ from those of short ones in loss, and in languages: steps alternate between them.
    """
    strata = [random.permutation(stratum).tolist() for stratum in np.array_split(np.arange(n), N_STRATA)]
    rounds = [[number for number in turn if number is not None] for turn in zip_longest(*strata)]
    return [number for turn in rounds for number in random.permutation(turn).tolist()]


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
