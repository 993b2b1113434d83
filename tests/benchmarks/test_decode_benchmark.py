"""What benchmarks/decode.py claims: how many times as fast, and how much worse at most, from what the ways measured."""

import importlib
import sys
from pathlib import Path

import pytest

from asr.shards import read_examples
from tests.builders import example, write_features

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
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


def timed(clips_per_s):
    """Two repeats of each way, one a quarter slower than the mean and one faster."""
    return {
        name: [{"clips": N_CLIPS, "wall_s": N_CLIPS / (part * speed), "peak_mb": 1.0} for part in (0.75, 1.25)]
        for name, speed in clips_per_s.items()
    }


def heard(ids, wrong=()):
    """Hypotheses in which only ours at 10 s errs, in one word of fifty, in the clips of `wrong`."""
    names = ["transformers' generate, 30 s, float32", "ours, 10 s, float32"]
    errs = {clip: TEXT.replace("five", "six", 1) if clip in wrong else TEXT for clip in ids}
    return {name: errs if name == "ours, 10 s, float32" else dict.fromkeys(ids, TEXT) for name in names}


def test_the_targets_compare_ours_with_the_others_in_the_same_dtype(decode):
    found = decode._targets_of_speed(timed(CLIPS_PER_S), 10)
    assert [round(target.figure, 2) for target in found] == [4.0, 3.5, 0.95, 1.0, 1.6]
    assert [target.verdict for target in found] == ["PASS", "PASS", "MISSED", "PASS", "MISSED"]
    table = decode._table_of_speeds(timed(CLIPS_PER_S))
    assert "| ours, 10 s, float32 | 8.00 | 6.00, 10.00 | 4.00 | 1 |" in table


def test_a_difference_in_words_is_claimed_of_enough_words_only(decode, clips, tmp_path):
    few = decode._scores(clips, [heard("ab")])
    assert decode._target_of_scores(few, 10).verdict == "NOT MEASURED"
    ids = [f"{n:04d}" for n in range(N_CLIPS)]
    shape = example("shape", 0.1, text=TEXT)
    rows = [shape | {"id": name, "language": "en" if n % 2 else "es"} for n, name in enumerate(ids)]
    write_features(tmp_path, {"test": rows}, rows_per_shard=N_CLIPS)
    scores = decode._scores(tmp_path, [heard(ids, wrong=ids)])
    upper = decode._target_of_scores(scores, 10)
    assert upper.verdict == "MISSED"
    assert upper.figure == pytest.approx(2.0)  # 100 of 5,000 words
    assert "+2.00" in decode._table_of_scores(scores)


def test_models_are_pooled_but_their_words_are_counted_once(decode, clips):
    pooled = decode._scores(clips, [heard("ab", wrong="ab"), heard("ab"), heard("ab")])
    ours = pooled["ours, 10 s, float32"]
    assert ours["n_words_heard_once"] == 100 and ours["n_models"] == 3
    assert ours["wer"] == pytest.approx(2 / 300)
    assert "2 clips, 100 words, 3 models" in decode._table_of_scores(pooled)


def test_so_many_clips_as_are_asked_for_and_fit_are_copied_as_they_are(decode, tmp_path):
    rows = [example(str(n), 1.5 if n % 2 else 0.5) for n in range(6)]
    write_features(tmp_path / "features", {"test": rows})
    copied = list(read_examples(decode._copied(tmp_path / "features", tmp_path / "copy", 2, 1), "test"))
    assert [row["id"] for row in copied] == ["0", "2"]
    first = next(iter(read_examples(tmp_path / "features", "test")))
    assert copied[0]["labels"] == first["labels"] and (copied[0]["log_mel"] == first["log_mel"]).all()
    with pytest.raises(decode.UserError, match="no clip of the test split fits into"):
        decode._copied(tmp_path / "features", tmp_path / "none", 2, -1)
