from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from asr.plan import read_planned, shards_of, write_plan
from asr.utterances import Utterance


def corpus(n, split="train", size_bytes=1000):
    return [
        Utterance(f"{split}-{i}", f"{split}/{i}.wav", "text", "en", split, source_bytes=size_bytes) for i in range(n)
    ]


def test_shards_are_of_about_equal_bytes():
    shards = shards_of(corpus(1000), shard_mb=0.1)
    assert list(shards) == [f"train/{n:05d}.parquet" for n in range(10)]
    assert all(95 <= len(rows) <= 105 for rows in shards.values())


@given(sizes=st.lists(st.integers(0, 500), min_size=1, max_size=60), shard_bytes=st.integers(1, 2000))
def test_every_row_is_planned_once_whatever_its_size(sizes, shard_bytes):
    rows = [replace(row, source_bytes=size) for row, size in zip(corpus(len(sizes)), sizes, strict=True)]
    planned = [row for shard in shards_of(rows, shard_bytes / 1e6).values() for row in shard]
    assert Counter(planned) == Counter(rows)


def test_pieces_of_a_recording_stay_together_in_the_order_of_time():
    pieces = [
        Utterance(f"{recording}-{n}", f"{recording}.wav", "text", "en", "train", start_s=9.0 - n, source_bytes=100)
        for n in range(10)
        for recording in range(7)
    ]
    for rows in shards_of(pieces, shard_mb=0.002).values():
        for recording in {row.audio for row in rows}:
            positions = [i for i, row in enumerate(rows) if row.audio == recording]
            assert len(positions) == 10 and positions[-1] - positions[0] == 9
            assert [rows[i].start_s for i in positions] == sorted(rows[i].start_s for i in positions)


def test_the_order_of_the_corpus_does_not_matter():
    rows = corpus(50) + corpus(20, "test")
    assert shards_of(rows, 0.01) == shards_of(rows[::-1], 0.01)


def test_splits_have_shards_of_their_own():
    shards = shards_of(corpus(5) + corpus(5, "test"), 1)
    assert {name: {row.split for row in rows} for name, rows in shards.items()} == {
        "train/00000.parquet": {"train"},
        "test/00000.parquet": {"test"},
    }


def test_a_worker_reads_its_own_rows_back(tmp_path):
    shards = shards_of(corpus(30) + corpus(4, "test"), 0.01)
    for shard in write_plan(tmp_path / "plan.parquet", shards):
        assert read_planned(tmp_path / "plan.parquet", shard.row_group) == shards[shard.name]
