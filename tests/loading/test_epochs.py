"""The plan of an epoch: every row once, one window a batch, the same for every layout."""

import numpy as np
import pytest

from asr.loading.blocks import Block
from asr.loading.epochs import Layout, divide, plan_epoch
from asr.loading.rows import Drawn

SEED = (7, 0)


def clips_of(n_rows: int, rows_per_block: int = 8) -> tuple[list[Block], Drawn]:
    """Clips of 1 to 30 s (mostly short) with 5 to 60 labels, each row once, padded to 10, 15, ... 30 s."""
    random = np.random.default_rng(0)
    blocks = [
        Block(first // 32, first // rows_per_block % 4, first, min(rows_per_block, n_rows - first))
        for first in range(0, n_rows, rows_per_block)
    ]
    windows = np.clip(500 * np.ceil(random.geometric(0.15, n_rows) / 5), 1000, 3000).astype(np.int32)
    return blocks, Drawn(np.arange(n_rows), windows, random.integers(5, 60, n_rows).astype(np.int32))


def plan(clips: tuple[list[Block], Drawn], batch_size: int = 8, seed: tuple[int, int] | None = SEED, pool: int = 64):
    return plan_epoch(*clips, batch_size, seed, pool)


@pytest.mark.parametrize("n_rows", [1, 7, 8, 9, 63, 64, 65, 500])
def test_every_row_comes_exactly_once_an_epoch(n_rows):
    assert sorted(np.concatenate(plan(clips_of(n_rows))).tolist()) == list(range(n_rows))


def test_a_row_that_is_drawn_several_times_comes_as_often_and_one_that_is_not_never():
    blocks, clips = clips_of(100)
    rows = np.repeat(np.arange(100), np.arange(100) % 3)
    drawn = Drawn(rows, clips.windows[rows], clips.n_labels[rows])
    batches = plan((blocks, drawn))
    parts = [part for batch in batches for part in divide(batch, drawn, Layout())]
    assert sorted(np.concatenate([part.rows for part in parts]).tolist()) == rows.tolist()
    times = sorted((row, time) for part in parts for row, time in zip(part.rows, part.times, strict=True))
    assert times == [(row, time) for row in range(100) for time in range(row % 3)]


def test_every_batch_has_one_window_and_is_full_but_for_the_last_of_its_window():
    blocks, clips = clips_of(500)
    of_batch = [clips.windows[batch] for batch in plan((blocks, clips))]
    assert all(len(set(of_clips.tolist())) == 1 for of_clips in of_batch)
    smaller = [of_clips[0] for of_clips in of_batch if len(of_clips) != 8]
    assert len(smaller) == len(set(smaller)) <= len(set(clips.windows.tolist()))


def test_the_order_is_a_function_of_seed_and_epoch():
    clips = clips_of(200)
    orders = {seed: np.concatenate(plan(clips, seed=seed)).tolist() for seed in [(7, 0), (7, 1), (8, 0)]}
    assert orders[7, 0] == np.concatenate(plan(clips, seed=(7, 0))).tolist()
    assert orders[7, 0] != orders[7, 1] != orders[8, 0] != orders[7, 0]


def test_chance_alone_decides_which_clips_share_a_batch_and_in_it_they_are_sorted_by_length():
    """Means of 8 numbers drawn at random vary by 1 / sqrt(8) of what the numbers do; of like numbers, by all of it."""
    blocks, clips = clips_of(800)
    clips = Drawn(clips.rows, np.full(800, 1000, np.int32), clips.n_labels)
    lengths = np.array([clips.n_labels[batch] for batch in plan((blocks, clips), pool=400)])
    assert lengths.mean(axis=1).std() / lengths.std() == pytest.approx(8**-0.5, rel=0.2)
    assert (np.diff(lengths) >= 0).all()


def test_for_validation_rows_of_like_label_length_share_a_batch():
    blocks, clips = clips_of(500)
    padded = {
        seed: sum(len(batch) * clips.n_labels[batch].max() for batch in plan((blocks, clips), seed=seed, pool=500))
        for seed in (SEED, None)
    }
    assert clips.n_labels.sum() / padded[None] > 0.9
    assert clips.n_labels.sum() / padded[SEED] < 0.7


def test_a_row_waits_for_no_more_than_one_pool_where_its_window_is_common():
    """Rows that are carried come first in the next pool, so that what is held stays a pool's worth."""
    blocks, clips = clips_of(640, rows_per_block=16)
    clips = Drawn(clips.rows, np.full(640, 1000, np.int32), clips.n_labels)
    pool_of = [np.unique(batch // 16) for batch in plan((blocks, clips), batch_size=12, seed=None, pool=16)]
    assert all(pools.max() - pools.min() <= 1 for pools in pool_of)


def test_without_a_seed_the_pools_keep_the_order_of_the_index():
    batches = plan(clips_of(500), seed=None)
    assert max(batches[0]) < 64
    assert np.corrcoef(np.concatenate(batches), range(500))[0, 1] > 0.9


def clips_with(n_labels: list[int]) -> Drawn:
    return Drawn(np.arange(len(n_labels)), np.full(len(n_labels), 1000, np.int32), np.array(n_labels, np.int32))


def test_ranks_and_accumulation_share_a_global_batch():
    clips = clips_with([3, 4, 5, 6, 7, 8, 9, 10])
    parts = {rank: divide(np.arange(8), clips, Layout(rank, world=2, accumulation=2)) for rank in (0, 1)}
    assert [part.rows.tolist() for part in parts[0]] == [[0, 1], [4, 5]]
    assert [part.rows.tolist() for part in parts[1]] == [[2, 3], [6, 7]]
    assert {part.n_targets for rank in parts for part in parts[rank]} == {44}


def test_a_small_batch_gives_every_slot_a_part_and_counts_its_targets_once():
    parts = [part for rank in range(3) for part in divide(np.arange(2), clips_with([3, 4]), Layout(rank, 3, 2))]
    assert len(parts) == 6
    assert sorted(row for part in parts if not part.filler for row in part.rows.tolist()) == [0, 1]
    assert all(part.rows.tolist() == [0] for part in parts if part.filler)
    assert {part.n_targets for part in parts} == {5}
