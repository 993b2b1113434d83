"""What benchmarks/decode.py claims: how many times as fast, and how much worse at most, from what the ways measured."""

import importlib
import sys
from pathlib import Path

import pytest

from asr.shards import read_examples
from tests.builders import example, write_features

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
TEXT = "one two three four five " * 10
N_CLIPS = 100
CLIPS_PER_S = {
    "transformers' generate, 30 s, float32": 2.0,
    "ours, 10 s, float32": 8.0,
    "ours, 30 s, float32": 1.9,
    "transformers' generate, 30 s, bf16": 4.0,
    "ours, 10 s, bf16": 14.0,
    "ours, 30 s, bf16": 4.0,
    "CTranslate2, 30 s, float32": 5.0,
    "CTranslate2, 30 s, int8": 6.0,
}


@pytest.fixture
def decode(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    monkeypatch.delitem(sys.modules, "decode", raising=False)
    module = importlib.import_module("decode")
    monkeypatch.setattr(module, "BOOTSTRAP_SAMPLES", 100)
    return module


@pytest.fixture
def clips(tmp_path):
    """Features of two clips in two languages."""
    rows = [example(name, text=TEXT, language=language) for name, language in (("a", "en"), ("b", "es"))]
    write_features(tmp_path / "features", {"test": rows})
    return tmp_path / "features"


def measured(ids, wrong=()):
    """Rows in which only ours at 10 s errs, in one word of fifty, in the clips of `wrong`."""
    rows = {}
    for name, clips_per_s in CLIPS_PER_S.items():
        errs = name == "ours, 10 s, float32"
        heard = {clip: TEXT.replace("five", "six", 1) if errs and clip in wrong else TEXT for clip in ids}
        rows[name] = {"clips": 100, "wall_s": 100 / clips_per_s, "hypotheses": heard, "peak_mb": 1.0}
    return rows


def test_the_targets_compare_ours_with_the_others_in_the_same_dtype(decode, clips):
    rows = measured("ab")
    found = {target.claim: target for target in decode._targets(rows, decode._scores(clips, rows), 10)}
    assert [round(target.figure, 2) for target in found.values() if target.figure] == [4.0, 0.95, 3.5, 1.0, 1.6]
    assert [target.verdict for target in found.values()] == ["PASS", "MISSED", "PASS", "PASS", "MISSED", "NOT MEASURED"]


def test_a_difference_in_words_is_claimed_of_enough_words_only(decode, tmp_path):
    ids = [f"{n:04d}" for n in range(N_CLIPS)]
    shape = example("shape", 0.1, text=TEXT)
    rows = [shape | {"id": name, "language": "en" if n % 2 else "es"} for n, name in enumerate(ids)]
    write_features(tmp_path, {"test": rows}, rows_per_shard=N_CLIPS)
    heard = measured(ids, wrong=ids)
    scores = decode._scores(tmp_path, heard)
    upper = decode._targets(heard, scores, 10)[-1]
    assert upper.verdict == "MISSED"
    assert upper.figure == pytest.approx(2.0)  # 100 of 5,000 words
    assert "+2.00" in decode._table(heard, scores)


def test_so_many_clips_as_are_asked_for_are_copied_as_they_are(decode, clips, tmp_path):
    decode._copy(clips, tmp_path / "copy", 1)
    (row,), (first, _) = (list(read_examples(folder, "test")) for folder in (tmp_path / "copy", clips))
    assert row["id"] == first["id"] and row["labels"] == first["labels"]
    assert (row["log_mel"] == first["log_mel"]).all()
