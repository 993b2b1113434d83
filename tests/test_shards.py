import hashlib
import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from asr.errors import UserError
from asr.features import log_mel
from asr.shards import ShardWriter, decode_log_mel, encode_log_mel, read_examples, read_index, sha256_of
from tests.builders import example, write_features

ROWS = [example(f"clip-{n}", 0.2 + n / 50) for n in range(150)]

# If this fails, the bytes of every user's shards change: raise asr.shards.FEATURES_VERSION, then note the new hash.
GOLDEN = {
    "float16": "f6653193b3906a9a",
    "uint8": "eb1cc25f99acdb57",
}


@pytest.mark.parametrize("codec", GOLDEN)
def test_the_bytes_of_features_are_those_of_their_version(codec):
    levels = np.random.default_rng(0).integers(-9000, 9000, (20, 16_000))  # integers: the same on every processor
    encoded = b"".join(encode_log_mel(log_mel((row / 32768).astype(np.float32)), codec) for row in levels)
    assert hashlib.sha256(encoded).hexdigest()[:16] == GOLDEN[codec]


@pytest.mark.parametrize("codec", ["float16", "uint8"])
def test_what_is_written_is_read_back(tmp_path, codec):
    index = write_features(tmp_path, {"train": ROWS, "test": ROWS[:3]}, codec)
    rows = list(read_examples(tmp_path, "train"))
    assert [row["id"] for row in rows] == [row["id"] for row in ROWS]
    assert index.rows("train") == 150 and index.rows("test") == 3 and index.rows("validation") == 0
    for read, written in zip(rows, ROWS, strict=True):
        assert read["labels"] == written["labels"] and read["speaker"] is None
        assert read["n_frames"] == written["log_mel"].shape[1]
        half_a_step = np.ptp(written["log_mel"]) / 255 / 2
        atol = half_a_step * 1.001 if codec == "uint8" else 1e-3
        np.testing.assert_allclose(read["log_mel"], written["log_mel"], atol=atol)


def test_float16_is_exactly_the_cast():
    mel = ROWS[0]["log_mel"]
    np.testing.assert_array_equal(decode_log_mel(encode_log_mel(mel, "float16"), 80, "float16"), mel.astype(np.float16))


def test_uint8_holds_a_clip_of_one_value():
    mel = np.full((80, 5), -1.5, np.float32)
    np.testing.assert_allclose(decode_log_mel(encode_log_mel(mel, "uint8"), 80, "uint8"), mel, atol=1e-6)


def test_the_same_rows_give_the_same_bytes(tmp_path):
    first, second = (write_features(tmp_path / name, {"train": ROWS}) for name in "ab")
    assert first == second


def test_the_index_describes_its_shards(tmp_path):
    write_features(tmp_path, {"train": ROWS}, rows_per_shard=70)
    index = read_index(tmp_path)
    assert [entry.rows for entry in index.splits["train"]] == [70, 70, 10]
    for entry in index.splits["train"]:
        path = tmp_path / entry.name
        assert (entry.bytes, entry.sha256) == (path.stat().st_size, sha256_of(path))
        file = pq.ParquetFile(path)
        assert sum(file.read(columns=["n_frames"])["n_frames"].to_pylist()) == entry.frames
        assert max(file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)) <= 64
        assert file.metadata.metadata[b"n_mels"] == b"80"


def test_an_altered_page_is_noticed(tmp_path):
    write_features(tmp_path, {"train": ROWS[:10]})
    path = tmp_path / "train/00000.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(OSError, match=r"(?i)crc|corrupt"):
        list(read_examples(tmp_path, "train"))


def test_a_shard_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(KeyError), ShardWriter(tmp_path, "train/00000.parquet", 80, "float16") as shard:
        for row in (ROWS[0], {"id": "no features"}):
            shard.write(row)
    assert list((tmp_path / "train").iterdir()) == []
    assert shard.entry is None


def test_missing_and_foreign_indexes_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"index.json: no such file"):
        read_index(tmp_path)
    (tmp_path / "index.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(UserError, match="format 99"):
        read_index(tmp_path)
