"""From shards to tensors: the right rows in the right order, read once, padded as Whisper expects."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import WhisperFeatureExtractor

from asr.loading.batches import EpochBatches, EpochLoader
from asr.loading.epochs import Layout
from asr.loading.rows import Sampling
from asr.params import SpecAugment
from tests.builders import example, speech_like, write_features

PAD = 50257
NO_TIMESTAMPS = 50363


def duration_s(n: int) -> float:
    return [0.2, 0.5, 10.0, 12.0][n % 4] if n % 10 in (1, 2, 3) else 0.3


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """150 rows in three shards, of two encoder windows and 6 to 15 labels."""
    folder = tmp_path_factory.mktemp("features")
    rows = [example(f"clip-{n:03d}", duration_s(n), [50258, *range(n % 10 + 4), PAD]) for n in range(150)]
    write_features(folder, {"train": rows, "validation": rows[:5]}, rows_per_shard=60)
    return folder


def dataset(features: Path, **options) -> EpochBatches:
    return EpochBatches(
        features, "train", **{"batch_size": 8, "window_s": 10, "pad_id": PAD, "seed": 3, "pool_size": 40} | options
    )


def ids(batches_) -> list[list[str]]:
    return [batch["ids"] for batch in batches_]


def test_an_epoch_has_every_row_once_in_as_many_batches_as_announced(features):
    read = ids(dataset(features))
    assert sorted(name for batch in read for name in batch) == [f"clip-{n:03d}" for n in range(150)]
    assert len(read) == len(dataset(features))


def test_the_features_are_those_of_the_padded_extractor_cut_at_the_window(features):
    expected = WhisperFeatureExtractor()
    for batch in list(dataset(features))[:3]:
        n_frames = batch["input_features"].shape[-1]
        assert batch["input_features"].dtype == torch.float32
        assert n_frames in (1000, 1500)
        for name, mel in zip(batch["ids"], batch["input_features"], strict=True):
            n = int(name[-3:])
            samples = speech_like(duration_s(n), seed=sum(name.encode()))
            padded = expected(samples, sampling_rate=16000, return_tensors="np").input_features[0]
            assert np.abs(mel.numpy() - padded[:, :n_frames]).max() < 2e-3  # float16 in the shard


def test_workers_do_not_change_the_order(features):
    alone = ids(EpochLoader(dataset(features)))
    assert ids(EpochLoader(dataset(features), n_workers=2)) == alone


def test_ranks_share_the_same_global_batches(features):
    alone = ids(dataset(features))
    ranks = [ids(dataset(features, layout=Layout(rank, world=2))) for rank in (0, 1)]
    assert len(ranks[0]) == len(ranks[1]) == len(alone)
    for whole, *parts in zip(alone, *ranks, strict=True):
        assert sorted(whole) == sorted({name for part in parts for name in part})


def test_a_filler_is_masked_whole(features):
    parts = [
        list(EpochBatches(features, "validation", batch_size=8, window_s=30, pad_id=PAD, layout=Layout(r, 8)))
        for r in range(8)
    ]
    assert [len(part) for part in parts] == [1] * 8
    targets = [int((part[0]["labels"] != -100).sum()) for part in parts]
    assert sum(targets) == int(parts[0][0]["n_targets"])
    assert targets.count(0) == 3


def count_rows_read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Hooks the reader; the list grows by the row numbers that are kept of each block that is read."""
    read: list[int] = []
    original = EpochBatches._rows_due

    def counted(self, *args):
        rows = original(self, *args)
        read.extend(rows)
        return rows

    monkeypatch.setattr(EpochBatches, "_rows_due", counted)
    return read


def test_a_resumed_epoch_goes_on_where_it_stopped_and_reads_nothing_twice(features, monkeypatch):
    read = count_rows_read(monkeypatch)
    whole = dataset(features)
    whole.set_epoch(2)
    expected = ids(whole)
    assert sorted(read) == list(range(150))
    read.clear()
    resumed = dataset(features, start=(2, 11))
    assert ids(resumed) == expected[11:]
    assert len(read) == len(set(read)) == sum(map(len, expected[11:]))
    resumed.set_epoch(3)
    assert len(ids(resumed)) == len(resumed)


def test_what_is_held_is_bounded_by_the_pool(tmp_path, monkeypatch):
    rows = [example(f"clip-{n:03d}", 0.2, [50258, *range(n % 10 + 4), PAD]) for n in range(640)]
    write_features(tmp_path, {"train": rows})
    read = count_rows_read(monkeypatch)
    n_yielded = most_held = 0
    for batch in dataset(tmp_path, pool_size=64):
        most_held = max(most_held, len(read) - n_yielded)
        n_yielded += len(batch["ids"])
    assert n_yielded == 640
    assert most_held <= 64 + 36 + 8  # a pool (row groups of 64 and 36 rows alternate), and what is carried into it


def test_a_split_without_rows_is_an_empty_epoch(features):
    empty = EpochBatches(features, "test", batch_size=8, window_s=10, pad_id=PAD, seed=1)
    assert (len(empty), list(empty)) == (0, [])


def test_more_processes_than_shards_share_the_rows(features):
    """Three shards, eight processes."""
    ranks = [dataset(features, layout=Layout(rank, world=8)) for rank in range(8)]
    assert len({len(rank) for rank in ranks}) == 1
    read = [batch for rank in ranks for batch in rank if (batch["labels"] != -100).any()]
    assert sorted(name for batch in read for name in batch["ids"]) == [f"clip-{n:03d}" for n in range(150)]


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """200 rows of two languages, most of one; every second one is timed and 1.2 s long."""
    folder = tmp_path_factory.mktemp("mixed")
    rows = [
        example(
            f"clip-{n:03d}",
            0.3 if n % 2 else 1.2,
            [50258, 50259, 50359, NO_TIMESTAMPS, *range(n % 7 + 1), PAD],
            language="en" if n % 10 else "hi",
            timed=n % 2 == 0,
        )
        for n in range(200)
    ]
    write_features(folder, {"train": rows}, rows_per_shard=70)
    return folder


ALL_OF_IT = Sampling(
    random_window=True,
    language_temperature=0.3,
    timestamps=0.5,
    spec_augment=SpecAugment(mel_masks=2, time_masks=2),
    no_timestamps=NO_TIMESTAMPS,
)


def same(ours, theirs) -> bool:
    return all(
        torch.equal(one[name], other[name]) if torch.is_tensor(one[name]) else one[name] == other[name]
        for one, other in zip(ours, theirs, strict=True)
        for name in ("ids", "input_features", "decoder_input_ids", "labels", "n_targets")
    )


def test_what_is_drawn_for_an_epoch_depends_on_nothing_but_seed_and_epoch(mixed):
    whole = dataset(mixed, sampling=ALL_OF_IT)
    epochs = []
    for epoch in range(3):
        whole.set_epoch(epoch)
        epochs.append(list(whole))
        assert len(epochs[-1]) == len(whole)
    assert not same(epochs[0], epochs[1])
    later = dataset(mixed, sampling=ALL_OF_IT, start=(1, 5))
    assert same(EpochLoader(later, n_workers=2), epochs[1][5:])
    ranks = [list(dataset(mixed, sampling=ALL_OF_IT, layout=Layout(rank, 2, 2), start=(1, 0))) for rank in (0, 1)]
    parts = [batch for rank in ranks for batch in rank if (batch["labels"] != -100).any()]
    assert clips_of(parts) == clips_of(epochs[1])


def clips_of(batches_) -> list[tuple[str, bytes]]:
    """Names and features, sorted."""
    return sorted(
        (name, mel.numpy().tobytes())
        for batch in batches_
        for name, mel in zip(batch["ids"], batch["input_features"], strict=True)
    )


def test_a_rare_language_comes_more_often(mixed):
    read = [name for batch in dataset(mixed, sampling=Sampling(language_temperature=0.0)) for name in batch["ids"]]
    assert len(read) == 200
    assert sum(name.endswith("0") for name in read) == 100


def test_windows_are_drawn_up_to_thirty_seconds_in_equal_numbers(mixed):
    batches = list(dataset(mixed, sampling=Sampling(random_window=True)))
    clips = {}
    for batch in batches:
        window = batch["input_features"].shape[-1]
        clips[window] = clips.get(window, 0) + len(batch["ids"])
    assert clips == dict.fromkeys((1000, 1500, 2000, 2500, 3000), 40)


def test_some_of_the_timed_rows_learn_their_times(mixed):
    sampling = Sampling(timestamps=0.5, no_timestamps=NO_TIMESTAMPS)
    n_with_times = 0
    for batch in dataset(mixed, sampling=sampling):
        assert int(batch["n_targets"]) == int((batch["labels"] != -100).sum())
        for name, inputs, targets in zip(batch["ids"], batch["decoder_input_ids"], batch["labels"], strict=True):
            learnt = [int(inputs[0]), *targets[targets != -100].tolist()]
            text = list(range(int(name[-3:]) % 7 + 1))
            if NO_TIMESTAMPS in learnt:
                assert learnt == [50258, 50259, 50359, NO_TIMESTAMPS, *text, PAD]
            else:
                assert int(name[-3:]) % 2 == 0
                begin = NO_TIMESTAMPS + 1
                assert learnt == [50258, 50259, 50359, begin, *text, begin + 60, PAD]  # 1.2 s are 60 steps of 0.02 s
                n_with_times += 1
    assert 35 <= n_with_times <= 65  # of 100


def test_masks_change_a_clip_within_its_own_frames_and_in_training_only(mixed):
    masks = Sampling(spec_augment=SpecAugment(mel_masks=2, time_masks=2))

    def by_name(**options) -> dict[str, torch.Tensor]:
        batches = dataset(mixed, **options)
        return {name: mel for batch in batches for name, mel in zip(batch["ids"], batch["input_features"], strict=True)}

    plain, masked = by_name(), by_name(sampling=masks)
    changed = {name: (plain[name] != masked[name]).any(dim=0) for name in plain}
    assert sum(bool(frames.any()) for frames in changed.values()) > 190
    assert all(not frames[122 if int(name[-3:]) % 2 == 0 else 32 :].any() for name, frames in changed.items())
    fixed = by_name(sampling=masks, seed=None)
    assert all(torch.equal(fixed[name], plain[name]) for name in plain)
