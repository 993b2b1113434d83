"""asr/evaluate/failures.py: what no listener would write down, told from what people do say."""

import jiwer
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.evaluate.failures import FAILURES, failures, loop_characters


def failing(reference, hypothesis):
    return {name for name, fails in zip(FAILURES, failures([reference], [hypothesis])[0], strict=True) if fails}


@pytest.mark.parametrize(
    ("reference", "hypothesis", "expected"),
    [
        ("buenos días a todos", "buenos días a todos", set()),
        ("buenos días", "", {"empty"}),
        ("", "", set()),
        ("la casa de mi abuela en el campo", "la casa casa casa casa casa casa", {"looping"}),
        ("la casa", "la casa casa casa casa casa casa casa", {"looping", "overlong"}),
        ("no", "no no no no", set()),
        ("llame al cinco cinco cinco cinco cinco", "llame al cinco cinco cinco cinco cinco", set()),
        ("llame al cinco cinco cinco cinco cinco", "llame al cinco cinco cinco cinco cinco cinco cinco", {"looping"}),
        ("नमस्ते दुनिया कैसे हैं आप सब लोग", "नमस्ते " * 8, {"looping"}),
        ("สวัสดีครับผมชื่อสมชายมาจากเชียงใหม่", "ครับ" * 8, {"looping"}),
        ("はい", "ご視聴ありがとうございました", set()),
        ("はい", "ご視聴ありがとうございましたまた次の動画でお会いしましょう", {"overlong"}),
        ("", "subtítulos por la comunidad", {"overlong"}),
    ],
)
def test_a_hypothesis_fails_as_a_listener_would_say(reference, hypothesis, expected):
    assert failing(reference, hypothesis) == expected


def test_a_loop_is_as_long_as_all_its_rounds():
    assert loop_characters("ab" * 10) == 20
    assert loop_characters("xy" + "abcd" * 4 + "abz") == 18
    assert loop_characters("abcde" * 3) == 0
    assert loop_characters("a" * 15) == 0
    assert loop_characters("a" * 16) == 16
    assert loop_characters("") == 0


@given(st.text(min_size=4, max_size=50), st.integers(4, 9), st.text(max_size=20), st.text(max_size=20))
def test_what_stands_four_times_in_a_row_is_found_wherever_it_stands(piece, times, before, after):
    assert loop_characters(before + times * piece + after) >= times * len(piece)


@given(st.text(max_size=20), st.text(max_size=100))
def test_the_characters_of_an_overlong_hypothesis_are_more_wrong_than_right(reference, hypothesis):
    reference, hypothesis = reference.strip(), hypothesis.strip()
    if reference and "overlong" in failing(reference, hypothesis):
        assert jiwer.cer(reference, hypothesis) > 1
