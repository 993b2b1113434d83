import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.loading.sampling import draw_rows, draw_timed, draw_windows

COUNTS = [60, 20, 3]  # rows of three languages
LANGUAGES = np.random.default_rng(1).permutation(np.repeat([4, 0, 2], COUNTS))
WINDOWS = np.random.default_rng(2).choice([1000, 1500, 3000], len(LANGUAGES)).astype(np.int32)


def draw(temperature, epoch=0, seed=1, languages=LANGUAGES, windows=WINDOWS):
    return draw_rows(languages, windows, temperature, (seed, epoch))


def test_at_temperature_1_an_epoch_is_every_row_once():
    np.testing.assert_array_equal(draw(1.0), np.arange(83))


def test_at_temperature_0_all_languages_come_equally_often():
    languages, windows = np.array([7] * 6 + [3] * 2), np.full(8, 1000, np.int32)
    rows = draw(0.0, languages=languages, windows=windows)
    assert len({*rows[:4]}) == 4 and max(rows[:4]) < 6
    assert rows[4:].tolist() == [6, 6, 7, 7]


def test_shares_follow_the_count_to_the_power_of_the_temperature():
    shares = np.bincount(LANGUAGES[draw(0.5)], minlength=5)[[4, 0, 2]] / len(LANGUAGES)
    expected = np.sqrt(COUNTS) / np.sqrt(COUNTS).sum()
    np.testing.assert_allclose(shares, expected, atol=1 / len(LANGUAGES))


def test_no_rows_are_no_rows():
    nothing = np.empty(0, np.int32)
    assert len(draw(0.5, languages=nothing, windows=nothing)) == 0
    assert len(draw_windows(nothing, (1, 0))) == 0


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(0, 3), st.sampled_from([300, 1000, 3000])), min_size=1, max_size=80),
    temperature=st.sampled_from([0, 0.1, 0.3, 0.5, 0.7, 1]),
    epoch=st.integers(0, 1000),
)
def test_every_epoch_has_the_same_counts_and_rows_of_a_language_come_equally_often(rows, temperature, epoch):
    languages, windows = np.array(rows, np.int32).T
    drawn = draw(temperature, epoch, languages=languages, windows=windows)
    assert len(drawn) == len(rows)
    times = np.bincount(drawn, minlength=len(rows))
    for language in np.unique(languages):
        assert np.ptp(times[languages == language]) <= 1
    first = draw(temperature, languages=languages, windows=windows)
    strata = languages * 10_000 + windows
    assert sorted(strata[drawn]) == sorted(strata[first])


def test_rows_that_come_once_more_take_turns_over_the_epochs():
    times = sum(np.bincount(draw(0.3, epoch), minlength=83) for epoch in range(7))
    strata = 10_000 * LANGUAGES + WINDOWS
    for stratum in np.unique(strata):
        assert np.ptp(times[strata == stratum]) <= 1
    assert (draw(0.3, epoch=1) != draw(0.3)).any()
    assert (draw(0.3, seed=2) != draw(0.3)).any()


def weighted(weights, epoch=0, temperature=1.0):
    return draw_rows(LANGUAGES, WINDOWS, temperature, (1, epoch), np.asarray(weights, np.float64))


def test_a_row_without_weight_never_comes_and_an_epoch_has_as_many_as_are_left():
    weights = np.random.default_rng(3).choice([0.0, 1.0], 83)
    for temperature in (0.0, 0.5, 1.0):
        drawn = weighted(weights, temperature=temperature)
        assert len(drawn) == np.count_nonzero(weights)
        assert weights[drawn].all()
    np.testing.assert_array_equal(weighted(weights), np.flatnonzero(weights))


def test_a_row_of_twice_the_weight_comes_twice_as_often():
    weights = np.where(np.arange(83) % 2, 1.0, 2.0)
    same = np.zeros(83, np.int32)  # language and window
    epochs = [draw_rows(same, same, 1.0, (1, epoch), weights) for epoch in range(30)]
    times = sum(np.bincount(drawn, minlength=83) for drawn in epochs)
    assert times[::2].mean() / times[1::2].mean() == pytest.approx(2, rel=0.03)
    assert all(len(drawn) == 83 for drawn in epochs)


def test_equal_weights_change_nothing():
    for temperature in (0.0, 0.3, 1.0):
        np.testing.assert_array_equal(weighted([3.0] * 83, 5, temperature), draw(temperature, 5))


def test_counts_of_language_weight_and_window_are_those_of_every_epoch():
    weights = np.random.default_rng(4).choice([0.0, 0.5, 1.0, 3.0], 83)
    strata = [*zip(LANGUAGES, weights, WINDOWS, strict=True)]
    counts = [sorted(strata[row] for row in weighted(weights, epoch, 0.5)) for epoch in range(4)]
    assert counts[0] == counts[1] == counts[2] == counts[3]


def test_nothing_kept_is_no_clip():
    assert len(weighted([0.0] * 83)) == 0


@pytest.mark.parametrize(
    ("own", "larger"),
    [
        (1000, [1000, 1500, 2000, 2500, 3000]),
        (700, [700, 1200, 1700, 2200, 2700, 3000]),  # the last bucket is 30 s, and not 32
        (2700, [2700, 3000]),
        (3000, [3000]),
    ],
)
def test_a_clip_is_seen_in_its_own_window_and_in_all_larger_ones(own, larger):
    drawn = draw_windows(np.full(2 * len(larger), own, np.int32), (1, 0))
    assert sorted(drawn) == sorted(2 * larger)
    assert drawn.dtype == np.int32


def test_the_windows_of_an_epoch_are_those_of_all_others_in_another_order():
    first, second, other = (draw_windows(WINDOWS, seed) for seed in ((1, 0), (1, 1), (2, 0)))
    for drawn in (second, other):
        assert (drawn != first).any()
        np.testing.assert_array_equal(np.sort(drawn), np.sort(first))
    assert (first >= WINDOWS).all()
    np.testing.assert_array_equal(draw_windows(WINDOWS, (1, 0)), first)


def test_only_timed_rows_with_room_for_a_label_are_drawn():
    timed, n_labels = np.array([True, False, True, True]), np.array([447, 5, 448, 5], np.int32)
    assert draw_timed(timed, n_labels, 1.0, 1, max_labels=448).tolist() == [True, False, False, True]
    assert not draw_timed(timed, n_labels, 0.0, 1, max_labels=448).any()


def test_the_declared_share_is_drawn_and_a_further_row_changes_no_other():
    timed, n_labels = np.ones(4000, bool), np.full(4000, 5, np.int32)
    drawn = draw_timed(timed, n_labels, 0.25, 1, 448)
    assert drawn.mean() == pytest.approx(0.25, abs=0.03)
    np.testing.assert_array_equal(draw_timed(timed[:99], n_labels[:99], 0.25, 1, 448), drawn[:99])
    assert (draw_timed(timed, n_labels, 0.25, 2, 448) != drawn).any()
