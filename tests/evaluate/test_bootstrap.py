"""asr/evaluate/bootstrap.py: intervals that hold what they promise, of what is drawn together."""

import math

import numpy as np
import pytest

from asr.evaluate.bootstrap import intervals, ratios, units_of

SCORES = ("wer", "cer", "wer_normalized")


def counts(errors, n_words=10):
    """So many substitutions in each utterance, under each score."""
    table = np.zeros((len(errors), 4))
    table[:, 0], table[:, 3] = errors, n_words
    return dict.fromkeys(SCORES, table)


def found(after, before, units=None, n_samples=1000, seed=1):
    units = np.arange(len(after)) if units is None else np.array(units)
    return intervals(counts(after), counts(before), units, n_samples, seed)


def test_the_interval_is_close_to_the_exact_one_of_a_proportion():
    errors = [10 * (number % 5 == 0) for number in range(500)]
    half_width = 1.96 * np.sqrt(0.2 * 0.8 / 500)
    interval = found(errors, errors, n_samples=2000)["wer_interval"]
    assert interval == pytest.approx([0.2 - half_width, 0.2 + half_width], abs=0.004)


def test_the_interval_of_the_difference_is_paired():
    errors = list(range(10)) * 20
    result = found(errors, [each + 1 for each in errors])
    assert result["difference_interval"] == pytest.approx([-0.1, -0.1])
    assert result["wer_interval"][1] - result["wer_interval"][0] > 0.05


def test_after_is_better_in_the_share_of_samples_that_a_normal_law_predicts():
    draw = np.random.default_rng(5)
    errors = draw.integers(0, 5, 400).astype(float)
    difference = draw.normal(-0.03, 0.5, 400)
    z = -difference.mean() / (difference.std() / np.sqrt(400))
    expected = 0.5 * (1 + math.erf(z / math.sqrt(2)))
    assert 0.7 < expected < 0.99
    assert found(errors + difference, errors, n_samples=5000)["better_share"] == pytest.approx(expected, abs=0.02)


def test_after_and_before_exchanged_share_the_samples():
    draw = np.random.default_rng(2)
    after, before = draw.integers(0, 5, 30), draw.integers(0, 5, 30)
    shares = [found(*pair)["better_share"] for pair in ((after, before), (before, after))]
    assert 0 < shares[0] < 1 and sum(shares) == pytest.approx(1)


def test_equal_systems_are_better_half_of_the_time_by_nothing():
    result = found([1, 2, 3], [1, 2, 3])
    assert result["better_share"] == 0.5
    assert result["difference_interval"] == [0, 0]


def test_a_better_share_of_975_is_where_the_interval_leaves_zero():
    draw = np.random.default_rng(3)
    for mean in np.linspace(-0.3, 0.3, 25):
        before = draw.integers(1, 5, 100)
        result = found(before + draw.normal(mean, 1, 100), before)
        low, high = result["difference_interval"]
        assert (result["better_share"] > 0.976) <= (high < 0) <= (result["better_share"] > 0.974)
        assert (result["better_share"] < 0.024) <= (low > 0) <= (result["better_share"] < 0.026)


def test_where_nothing_was_said_nothing_is_known():
    silent = {name: np.array([[0.0, 3, 0, 0]]) for name in SCORES}
    assert set(intervals(silent, silent, np.arange(1), 10, 1).values()) == {None}
    assert np.isnan(ratios(silent["wer"])).all()


def test_utterances_of_a_voice_are_drawn_together():
    errors = [10 * (number % 6 == 0) for number in range(120)]
    by_voice = found(errors, errors, units=[number % 6 for number in range(120)])["wer_interval"]
    alone = found(errors, errors)["wer_interval"]
    assert by_voice[1] - by_voice[0] > 2 * (alone[1] - alone[0])


def test_a_unit_is_a_speaker_where_five_are_known_and_else_an_utterance():
    units, name = units_of(["a", "b", None, "a", "c", "d", "e", None])
    assert (units.tolist(), name) == ([0, 1, 2, 0, 3, 4, 5, 6], "speaker")
    units, name = units_of(["a", "b", None, "a", "c", "d"])
    assert (units.tolist(), name) == ([0, 1, 2, 3, 4, 5], "utterance")


def test_the_samples_repeat_with_the_seed_and_whatever_is_drawn_at_once(monkeypatch):
    errors = np.random.default_rng(1).integers(0, 5, 50)
    first = found(errors, errors)
    assert first != found(errors, errors, seed=2)
    monkeypatch.setattr("asr.evaluate.bootstrap._DRAWS_AT_ONCE", 333)
    again = found(errors, errors)
    assert again["wer_interval"] == pytest.approx(first["wer_interval"])
