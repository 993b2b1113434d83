"""Blocks are read in their order, ahead of time, and only from shards that are what preprocess wrote."""

import gc
import hashlib
import os
import threading
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

from asr.errors import UserError
from asr.loading import blocks
from asr.loading.batches import EpochBatches, EpochLoader
from asr.loading.blocks import READ_AHEAD, Shards, read_ahead
from asr.shards import read_columns, read_index
from tests.builders import example, write_features

N_ROWS = 300


@pytest.fixture
def features(tmp_path):
    """Three shards of two row groups each."""
    rows = [example(f"{n:03}", duration_s=0.1, labels=[50258] * 4) for n in range(N_ROWS)]
    write_features(tmp_path, {"train": rows}, rows_per_shard=100)
    return tmp_path


def shards_of(folder) -> tuple[Shards, list[blocks.Block]]:
    index = read_index(folder)
    shards = Shards(index, "train", torch.zeros(3, dtype=torch.bool))
    return shards, [block for shard in range(3) for block in shards.blocks(shard, 100 * shard)]


def read(folder) -> None:
    """All rows of the split, as a worker of a DataLoader reads them."""
    list(EpochLoader(EpochBatches(folder, "train", batch_size=8, window_s=10, pad_id=0), n_workers=1))


def test_blocks_come_in_the_order_asked_for_with_their_rows(features):
    shards, wanted = shards_of(features)
    wanted = [wanted[number] for number in (4, 0, 5, 2, 1, 3)]
    ids = read_columns(features, "train", ["id"])["id"].to_pylist()
    for expected, (block, table) in zip(wanted, read_ahead(shards, wanted, ["id"]), strict=True):
        assert block == expected
        assert table["id"].to_pylist() == ids[block.first_row : block.first_row + block.n_rows]


def test_the_blocks_of_a_split_hold_each_of_its_rows_once(features):
    _, found = shards_of(features)
    assert [number for block in found for number in range(block.first_row, block.first_row + block.n_rows)] == list(
        range(N_ROWS)
    )


def open_shards(folder) -> list[str]:
    """Those that this process has open, once for each handle."""
    links = [os.readlink(path) for path in Path("/proc/self/fd").glob("*") if path.is_symlink()]
    return [link for link in links if link.startswith(str(folder)) and link.endswith(".parquet")]


@pytest.mark.parametrize("to_its_end", [True, False])
def test_an_epoch_that_is_over_or_left_has_no_shard_open_and_waits_for_no_garbage_collection(features, to_its_end):
    gc.disable()
    try:
        rows = EpochBatches(features, "train", batch_size=8, window_s=10, pad_id=0)
        assert open_shards(features) == []
        batches = iter(EpochLoader(rows))
        assert next(batches)
        assert open_shards(features)
        if to_its_end:
            list(batches)
        del batches
        assert open_shards(features) == []
    finally:
        gc.enable()


def test_the_next_blocks_are_read_while_one_is_used_but_not_all(features, monkeypatch):
    shards, wanted = shards_of(features)
    read_numbers: list[int] = []
    all_begun = threading.Event()
    original = shards.read

    def noted(block, columns):
        read_numbers.append(block.first_row)
        if len(read_numbers) == 1 + READ_AHEAD:
            all_begun.set()
        return original(block, columns)

    monkeypatch.setattr(shards, "read", noted)
    coming = read_ahead(shards, wanted * 3, ["id"])
    next(coming)
    assert all_begun.wait(10)
    assert len(read_numbers) == 1 + READ_AHEAD
    coming.close()


def test_a_shard_is_checked_when_it_is_first_read_and_in_no_later_epoch_of_any_worker(features, monkeypatch):
    checks = torch.zeros(3, dtype=torch.int32).share_memory_()
    original = Shards._check

    def counted(self, shard):
        checks[shard] += 1
        original(self, shard)

    monkeypatch.setattr(Shards, "_check", counted)
    dataset = EpochBatches(features, "train", batch_size=8, window_s=10, pad_id=0, seed=1)
    assert checks.tolist() == [0, 0, 0]
    list(EpochLoader(dataset, n_workers=1))
    for n_workers in (1, 0, 2):
        dataset.set_epoch(dataset.epoch + 1)
        list(EpochLoader(dataset, n_workers))
    assert checks.tolist() == [1, 1, 1]


def flip_a_byte(path, row_group: int, column: str) -> bytes:
    """In the last page of a column; the new content of the file."""
    group = pq.ParquetFile(path).metadata.row_group(row_group)
    chunk = next(c for c in map(group.column, range(group.num_columns)) if c.path_in_schema == column)
    content = bytearray(path.read_bytes())
    content[chunk.data_page_offset + chunk.total_compressed_size - 5] ^= 1
    path.write_bytes(content)
    return bytes(content)


def test_a_shard_that_was_altered_is_one_line_even_where_nothing_is_read_of_it(features):
    path = features / "train/00001.parquet"
    content = flip_a_byte(path, 1, "digest")
    expected = (
        rf"^{path}: sha256 {hashlib.sha256(content).hexdigest()[:12]}\.\.\., not [0-9a-f]{{12}}\.\.\. as the index"
    )
    with pytest.raises(UserError, match=expected) as raised:
        read(features)
    assert "\n" not in str(raised.value) and str(raised.value).endswith("run `dvc repro -f preprocess`")


def test_a_page_that_changes_after_the_check_is_one_line(features):
    shards, wanted = shards_of(features)
    shards.read(wanted[0], ["log_mel"])
    path = features / "train/00000.parquet"
    flip_a_byte(path, 1, "log_mel")
    with pytest.raises(
        UserError, match=rf"^{path}: this shard can't be read \(.*CRC.*\); run `dvc repro -f preprocess`$"
    ):
        shards.read(wanted[1], ["log_mel"])


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda path: path.unlink(), "the index lists this shard, but there is no such file"),
        (lambda path: path.write_bytes(path.read_bytes()[:-100]), "bytes, not [0-9,]+ as the index has it"),
        (lambda path: path.write_bytes(bytes(path.stat().st_size)), "this shard can't be read"),
    ],
)
def test_a_shard_that_is_gone_cut_or_no_shard_is_one_line_before_the_first_step(features, harm, words):
    path = features / "train/00002.parquet"
    harm(path)
    with pytest.raises(UserError, match=rf"^{path}: .*{words}.*; run `dvc repro -f preprocess`$") as raised:
        EpochBatches(features, "train", batch_size=8, window_s=10, pad_id=0)
    assert "\n" not in str(raised.value)


def test_a_shard_that_goes_while_it_is_trained_on_is_one_line_also_from_a_worker(features):
    dataset = EpochBatches(features, "train", batch_size=8, window_s=10, pad_id=0)
    (features / "train/00002.parquet").unlink()
    for n_workers in (0, 1):
        n_read = 0
        with pytest.raises(UserError, match=r"^[^\n]*00002\.parquet: the index lists this shard[^\n]*$"):
            for batch in EpochLoader(dataset, n_workers):
                n_read += len(batch["ids"])
        assert n_read == 200 // 8 * 8
