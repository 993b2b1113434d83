"""Loops in token lists: what Whisper repeats for ever is found early, what people say again is left alone."""

import pytest

from asr.evaluate.loops import period, ran_away, without_loop

PHRASE = [11, 12, 13, 14, 15, 16, 17]


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        ([1, 2, 3] + [9] * 20, 1),
        ([1, 2, 3] + [8, 9] * 10, 2),
        ([1] + [7, 8, 8] * 6 + [7, 8], 3),
        ([5, 5] + PHRASE * 4, 7),
        (list(range(100, 140)) * 4, 40),
    ],
)
def test_a_unit_that_repeats_long_enough_is_a_loop_of_its_length(tokens, expected):
    assert period(tokens) == expected
    assert period(tokens[:-1]) == 0


@pytest.mark.parametrize(
    "tokens",
    [
        [],
        [4],
        [50, 11] * 6,  # "no, no, no, no, no, no,"
        [0] * 12,  # a row of zeros
        PHRASE * 3,  # a chorus
        [11, 12, 13, 14, 1, 11, 12, 13, 14, 2, 11, 12, 13, 14, 3, 11, 12, 13, 14, 4],  # counting
        [1, 2, 3] + [9] * 30 + [4],  # it has ended
    ],
)
def test_what_people_say_again_is_no_loop(tokens):
    assert period(tokens) == 0
    assert without_loop(tokens) == tokens


def test_of_a_loop_its_first_unit_is_left():
    assert without_loop([1, 2, 3, *PHRASE * 5]) == [1, 2, 3, *PHRASE]
    assert without_loop([1, 2, 3] + [9] * 25) == [1, 2, 3, 9]
    assert without_loop([*PHRASE * 5, 11, 12]) == PHRASE  # it was stopped in the middle of a unit


@pytest.mark.parametrize("start", range(4))
def test_no_loop_is_left_and_nothing_before_it_is_lost(start):
    tokens = [*range(start), *[100, 101, 102] * 9]
    left = without_loop(tokens)
    assert period(left) == 0
    assert tokens[: len(left)] == left
    assert left[:start] == [*range(start)]


def test_a_loop_and_a_full_clip_run_away():
    assert ran_away([9] * 20, bound=100)
    assert ran_away([1, 2, 3], bound=3)
    assert not ran_away([1, 2, 3], bound=4)
