"""The loader over shards in an object store."""

import dataclasses
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import torch

from asr import storage
from asr.errors import UserError
from asr.loading.batches import EpochBatches, EpochLoader
from asr.shards import read_columns, read_examples, read_index, write_index
from tests.builders import example, write_features

pytest_plugins = ["tests.emulators"]

N_ROWS = 150  # 3 row groups in 2 shards


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """Features of this machine."""
    folder = tmp_path_factory.mktemp("features")
    rows = [example(f"{n:03}", duration_s=0.2, labels=[50258] * (3 + n % 7)) for n in range(N_ROWS)]
    write_features(folder, {"train": rows}, rows_per_shard=100)
    return folder


@pytest.fixture
def there(here, store, tmp_path):
    """The same features in a store; the index alone is on this machine."""
    return uploaded(here, store, tmp_path)


def uploaded(here, root, folder):
    for path in here.rglob("*.parquet"):
        storage.put_bytes(path.read_bytes(), f"{root}/{path.relative_to(here).as_posix()}")
    write_index(folder, dataclasses.replace(read_index(here), root=root))
    return folder


def test_rows_and_columns_are_read_from_a_store(here, there):
    for ours, theirs in zip(read_examples(there, "train"), read_examples(here, "train"), strict=True):
        assert np.array_equal(ours.pop("log_mel"), theirs.pop("log_mel")) and ours == theirs
    columns = ["id", "n_frames", "labels"]
    assert read_columns(there, "train", columns) == read_columns(here, "train", columns)


def batches(folder: Path, n_workers: int):
    dataset = EpochBatches(folder, "train", batch_size=16, window_s=10, pad_id=50257, seed=1)
    for epoch in range(2):
        dataset.set_epoch(epoch)
        yield from EpochLoader(dataset, n_workers)


def assert_same_batches(there: Path, here: Path, n_workers: int) -> None:
    for ours, theirs in zip(batches(there, n_workers), batches(here, 0), strict=True):
        assert ours["ids"] == theirs["ids"]
        assert torch.equal(ours["input_features"], theirs["input_features"])


@pytest.mark.parametrize("n_workers", [0, 2])
def test_the_loader_gives_the_batches_of_this_machine(here, there, n_workers):
    # Apart from the tests that ran Beam in this process: gRPC's threads survive no fork of it.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        process.submit(assert_same_batches, there, here, n_workers).result()


def test_a_row_group_is_one_request_in_a_shard_that_is_opened_once(here, s3, tmp_path, monkeypatch):
    dataset = EpochBatches(uploaded(here, s3, tmp_path), "train", batch_size=16, window_s=10, pad_id=50257)
    sent = []
    client = type(storage.file_system(s3))
    original = client._call_s3

    async def recorded(self, method, *args, **kwargs):
        sent.append(method)
        return await original(self, method, *args, **kwargs)

    monkeypatch.setattr(client, "_call_s3", recorded)
    assert len(list(dataset)) == 10
    assert Counter(sent) == {"head_object": 2, "get_object": 2 + 3 + 2}  # footers, row groups, and whole to be checked
    sent.clear()
    list(dataset)
    assert Counter(sent) == {"head_object": 2, "get_object": 2 + 3}


def test_a_shard_that_is_gone_is_one_line(there, store):
    dataset = EpochBatches(there, "train", batch_size=16, window_s=10, pad_id=50257)
    files = storage.file_system(store)
    files.rm(store, recursive=True)
    with pytest.raises(UserError, match=rf"^{store}/train/00000\.parquet: there is no such object"):
        next(iter(dataset))
