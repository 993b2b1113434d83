import re
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.clips import plan
from asr.clips.plan import copies_of, read_planned, write_plan
from asr.corpora import manifest
from asr.errors import UserError
from asr.params import Audio
from asr.utterances import Utterance


def corpus(n, split="train", size_bytes=1000):
    return [
        Utterance(f"{split}-{i}", f"{split}/{i}.wav", "text", "en", split, source_bytes=size_bytes) for i in range(n)
    ]


def shards_of(folder, rows, shard_mb, audio=None):
    """Shard name -> its utterances, as a worker reads them."""
    manifest.write(rows, folder)
    planned = write_plan(folder / "plan.parquet", folder, shard_mb, copies_of(audio or Audio()))
    shards = {shard.name: read_planned(folder / "plan.parquet", shard.row_group) for shard in planned}
    assert {shard.name: (shard.n_rows, shard.source_bytes) for shard in planned} == {
        name: (len(rows), sum(row.source_bytes for row in rows)) for name, rows in shards.items()
    }
    return shards


def test_shards_are_of_about_equal_bytes(tmp_path):
    shards = shards_of(tmp_path, corpus(1000), shard_mb=0.1)
    assert list(shards) == [f"train/{n:05d}.parquet" for n in range(10)]
    assert all(95 <= len(rows) <= 105 for rows in shards.values())


@settings(max_examples=40, deadline=None)
@given(sizes=st.lists(st.integers(0, 500), min_size=1, max_size=60), shard_bytes=st.integers(1, 2000))
def test_every_row_is_planned_once_whatever_its_size(tmp_path_factory, sizes, shard_bytes):
    rows = [replace(row, source_bytes=size) for row, size in zip(corpus(len(sizes)), sizes, strict=True)]
    shards = shards_of(tmp_path_factory.mktemp("plan"), rows, shard_bytes / 1e6)
    assert Counter(row for shard in shards.values() for row in shard) == Counter(rows)


def test_pieces_of_a_recording_stay_together_in_the_order_of_time(tmp_path):
    pieces = [
        Utterance(f"{recording}-{n}", f"{recording}.wav", "text", "en", "train", start_s=9.0 - n, source_bytes=100)
        for n in range(10)
        for recording in range(7)
    ]
    for rows in shards_of(tmp_path, pieces, shard_mb=0.002).values():
        for recording in {row.audio for row in rows}:
            positions = [i for i, row in enumerate(rows) if row.audio == recording]
            assert len(positions) == 10 and positions[-1] - positions[0] == 9
            assert [rows[i].start_s for i in positions] == sorted(rows[i].start_s for i in positions)


def test_rows_of_a_block_stay_together_in_their_order(tmp_path):
    rows = [
        Utterance(
            f"{block}-{n}", f"a.parquet#block={block}&column=audio", "text", "en", "train", source_bytes=100, row=n
        )
        for n in range(9, -1, -1)
        for block in range(7)
    ]
    for shard in shards_of(tmp_path, rows, shard_mb=0.002).values():
        for block in {row.audio for row in shard}:
            places = [row.row for row in shard if row.audio == block]
            positions = [i for i, row in enumerate(shard) if row.audio == block]
            assert places == list(range(10)) and positions[-1] - positions[0] == 9


def test_the_order_of_the_corpus_does_not_matter(tmp_path):
    rows = corpus(50) + corpus(20, "test")
    assert shards_of(tmp_path / "a", rows, 0.01) == shards_of(tmp_path / "b", rows[::-1], 0.01)


def test_a_corpus_that_is_sorted_in_parts_gives_the_same_plan(tmp_path, monkeypatch):
    rows = corpus(300) + corpus(20, "test") + corpus(20, "validation")
    at_once = shards_of(tmp_path / "a", rows, 0.01)
    monkeypatch.setattr(plan, "ROWS_IN_MEMORY", 40)
    assert shards_of(tmp_path / "b", rows, 0.01) == at_once


def test_splits_have_shards_of_their_own(tmp_path):
    shards = shards_of(tmp_path, corpus(5) + corpus(5, "test"), 1)
    assert {name: {row.split for row in rows} for name, rows in shards.items()} == {
        "train/00000.parquet": {"train"},
        "test/00000.parquet": {"test"},
    }


def test_train_utterances_alone_have_copies_each_beside_its_original(tmp_path):
    audio = Audio(speeds=[0.9, 1.0, 1.1], augment=["telephone", "noise"])
    shards = shards_of(tmp_path, corpus(2) + corpus(2, "test"), 1, audio)
    assert {row.id for row in shards["test/00000.parquet"]} == {"test-0", "test-1"}
    rows = shards["train/00000.parquet"]
    original = next(row for row in rows if row.id == "train-1")
    first = rows.index(original)
    assert rows[first : first + 5] == [
        original,
        replace(original, id="train-1~0.9", speed=0.9),
        replace(original, id="train-1~1.1", speed=1.1),
        replace(original, id="train-1~noise", augment="noise"),
        replace(original, id="train-1~telephone", augment="telephone"),
    ]


@pytest.mark.parametrize("name", ["train-1~noise", "~1.1"])
def test_an_id_that_could_be_a_copys_is_refused_where_there_are_copies(tmp_path, name):
    rows = [*corpus(2), replace(corpus(1)[0], id=name)]
    assert len(shards_of(tmp_path / "a", rows, 1)["train/00000.parquet"]) == 3
    with pytest.raises(UserError, match=re.escape(repr(name))):
        shards_of(tmp_path / "b", rows, 1, Audio(speeds=[1.0, 1.1], augment=["noise"]))


def test_copies_make_more_shards_not_larger_ones(tmp_path):
    rows = corpus(100)
    assert len(shards_of(tmp_path / "a", rows, 0.01)) == 10
    assert len(shards_of(tmp_path / "b", rows, 0.01, Audio(augment=["noise"]))) == 20


# If this fails, the bytes of every user's shards change: raise asr.shards.FEATURES_VERSION, then note the new order.
ORDER = ["0", "5", "1", "7", "3", "2", "6", "4"]


def test_the_order_of_rows_is_that_of_their_version(tmp_path):
    (rows,) = shards_of(tmp_path, corpus(8), 1, Audio(speeds=[1.0, 1.1])).values()
    assert [row.id.removeprefix("train-") for row in rows[::2]] == ORDER
    assert [row.id for row in rows[1::2]] == [f"{row.id}~1.1" for row in rows[::2]]
