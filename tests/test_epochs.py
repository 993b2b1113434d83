"""The plan of an epoch: every row once, one window a batch, the same for every layout."""

import numpy as np
import pytest

from asr.epochs import Block, Layout, Lengths, divide, plan_epoch, windows_of

SEED = (7, 0)


def lengths_of(n_rows: int, rows_per_block: int = 8) -> Lengths:
    """Clips of 1 to 30 s (mostly short) with 5 to 60 labels."""
    random = np.random.default_rng(0)
    blocks = [
        Block(
            f"train/{first // 32:05d}.parquet", first // rows_per_block % 4, first, min(rows_per_block, n_rows - first)
        )
        for first in range(0, n_rows, rows_per_block)
    ]
    n_frames = np.minimum(3000, 100 * random.geometric(0.15, n_rows) + 2).astype(np.int32)
    return Lengths(blocks, n_frames, random.integers(5, 60, n_rows).astype(np.int32))


def plan(lengths: Lengths, batch_size: int = 8, seed: tuple[int, int] | None = SEED, pool_rows: int = 64):
    windows = windows_of(lengths.n_frames, 10)
    return windows, plan_epoch(lengths, windows, batch_size, seed, pool_rows)


@pytest.mark.parametrize("n_rows", [1, 7, 8, 9, 63, 64, 65, 500])
def test_every_row_comes_exactly_once_an_epoch(n_rows):
    _, batches = plan(lengths_of(n_rows))
    assert sorted(np.concatenate(batches).tolist()) == list(range(n_rows))


def test_every_batch_has_one_window_and_is_full_but_for_the_last_of_its_window():
    windows, batches = plan(lengths_of(500))
    of_batch = [windows[batch] for batch in batches]
    assert all(len(set(of_rows)) == 1 for of_rows in of_batch)
    smaller = [of_rows[0] for batch, of_rows in zip(batches, of_batch, strict=True) if len(batch) != 8]
    assert len(smaller) == len(set(smaller)) <= len(set(windows))


def test_the_number_of_batches_is_the_same_in_every_epoch():
    windows = plan(lengths_of(500))[0]
    expected = sum(-(-count // 8) for count in np.unique(windows, return_counts=True)[1])
    assert [len(plan(lengths_of(500), seed=(7, epoch))[1]) for epoch in range(4)] == [expected] * 4


def test_the_order_is_a_function_of_seed_and_epoch():
    lengths = lengths_of(200)
    orders = {seed: np.concatenate(plan(lengths, seed=seed)[1]).tolist() for seed in [(7, 0), (7, 1), (8, 0)]}
    assert orders[7, 0] == np.concatenate(plan(lengths, seed=(7, 0))[1]).tolist()
    assert orders[7, 0] != orders[7, 1] != orders[8, 0] != orders[7, 0]


def test_rows_of_like_label_length_share_a_batch():
    lengths = lengths_of(500)
    _, batches = plan(lengths, pool_rows=500)
    padded = sum(len(batch) * lengths.n_labels[batch].max() for batch in batches)
    assert lengths.n_labels.sum() / padded > 0.9
    shuffled = np.random.default_rng(0).permutation(496).reshape(-1, 8)
    assert lengths.n_labels.sum() / (8 * lengths.n_labels[shuffled].max(axis=1).sum()) < 0.7


def test_a_row_waits_for_no_more_than_one_pool_where_its_window_is_common():
    """Rows that are carried come first in the next pool, so that what is held stays a pool's worth."""
    lengths = lengths_of(640, rows_per_block=16)
    lengths = Lengths(lengths.blocks, np.full(640, 302, np.int32), lengths.n_labels)
    _, batches = plan(lengths, batch_size=12, seed=None, pool_rows=16)
    pool_of = [np.unique(batch // 16) for batch in batches]
    assert all(pools.max() - pools.min() <= 1 for pools in pool_of)


def test_without_a_seed_the_pools_keep_the_order_of_the_index():
    _, batches = plan(lengths_of(500), seed=None, pool_rows=64)
    assert max(batches[0]) < 64
    assert np.corrcoef(np.concatenate(batches), range(500))[0, 1] > 0.9


def test_ranks_and_accumulation_share_a_global_batch():
    n_labels = np.array([3, 4, 5, 6, 7, 8, 9, 10], dtype=np.int32)
    batch = np.arange(8)
    parts = {rank: divide(batch, n_labels, Layout(rank, world=2, accumulation=2)) for rank in (0, 1)}
    assert [part.rows.tolist() for part in parts[0]] == [[0, 1], [4, 5]]
    assert [part.rows.tolist() for part in parts[1]] == [[2, 3], [6, 7]]
    assert {part.n_targets for rank in parts for part in parts[rank]} == {44}


def test_a_small_batch_gives_every_slot_a_part_and_counts_its_targets_once():
    n_labels = np.array([3, 4], dtype=np.int32)
    parts = [part for rank in range(3) for part in divide(np.arange(2), n_labels, Layout(rank, 3, 2))]
    assert len(parts) == 6
    assert sorted(row for part in parts if not part.filler for row in part.rows.tolist()) == [0, 1]
    assert all(part.rows.tolist() == [0] for part in parts if part.filler)
    assert {part.n_targets for part in parts} == {5}
