"""asr/selection/filters.py: a row is set aside for what is declared, and for nothing else."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.params import Clean
from asr.selection.filters import Row, disagreeing, edge_db, foreign, judge, repeated

GOOD = Row("a", "Guten Tag.", "Guten Tag.", "de", 1.0, None, 0.1, 0.0, 0.001, 0.002, "sound a")


def reason(rules: Clean, **columns: Any) -> str | None:
    why = judge(GOOD._replace(**columns), rules)
    return why and why.reason


@pytest.mark.parametrize(
    ("rules", "columns", "expected"),
    [
        (Clean(characters_a_second=[2, 30]), {"duration_s": 0.3}, "too many characters a second"),
        (Clean(characters_a_second=[2, 30]), {"duration_s": 6.0}, "too few characters a second"),
        (Clean(characters_a_second=[10, 30]), {}, None),  # ten characters in a second: the edge is inside
        (Clean(alphabet={"de": "abcdefghijklmnopqrstuvwxyz"}), {"trained_text": "Grüße"}, "foreign characters"),
        (Clean(alphabet={"de": "abcdefghijklmnopqrstuvwxyzüß"}), {"trained_text": "GRÜßE, „alle“!"}, None),
        (Clean(alphabet={"fr": "a"}), {}, None),
        (Clean(min_rms_dbfs=-50), {"rms": 0.001}, "too quiet"),
        (Clean(min_rms_dbfs=-50), {"rms": 0.0}, "too quiet"),
        (Clean(min_rms_dbfs=-60.001), {"rms": 0.001}, None),
        (Clean(max_clipped_share=0.001), {"clipped_share": 0.002}, "clipped"),
        (Clean(max_clipped_share=0.002), {"clipped_share": 0.002}, None),
        (Clean(max_edge_db=-3), {"tail_rms": 0.09}, "probably cut"),
        (Clean(max_edge_db=-3), {"head_rms": 0.09}, "probably cut"),
        (Clean(max_edge_db=-3), {"head_rms": 0.05}, None),
        (Clean(max_edge_db=-3), {"rms": 0.0, "head_rms": 0.0, "tail_rms": 0.0}, None),
    ],
)
def test_a_filter_takes_what_is_beyond_its_bound(rules: Clean, columns: dict[str, Any], expected: str | None) -> None:
    assert reason(rules, **columns) == expected


@given(duration_s=st.floats(0, 30), level=st.floats(0, 1), text=st.text(min_size=1), share=st.floats(0, 1))
def test_without_filters_nothing_is_set_aside(duration_s: float, level: float, text: str, share: float) -> None:
    row = GOOD._replace(duration_s=duration_s, rms=level, head_rms=level, trained_text=text, clipped_share=share)
    assert judge(row, Clean()) is None
    assert repeated([row, row._replace(id="b")], Clean(), seed=1) == {}


def test_a_row_says_what_is_wrong_and_which_param_decides() -> None:
    why = judge(GOOD._replace(trained_text="да и 7"), Clean(alphabet={"de": "abc"}))
    assert why is not None
    assert why.detail == "д а и 7 in 'да и 7'; see data.clean.alphabet.de"


def test_marks_and_digits_of_other_scripts_are_letters_too() -> None:
    assert foreign("a۷ि!", "a") == ["۷", "ि"]
    assert foreign("è", "e\u0300") == []  # as some machines paste it
    assert foreign("İI", "i") == ["İ"]  # whose small letter is two characters


def test_of_equal_texts_and_sounds_the_first_in_a_seeded_order_stay() -> None:
    rows = [GOOD._replace(id=str(n), text=f"Text {n % 2}!", digest=str(n // 2)) for n in range(8)]
    texts = repeated(rows, Clean(text_copies=3), seed=1)
    assert len(texts) == 2 and {why.reason for why in texts.values()} == {"repeated text"}
    sounds = repeated(rows, Clean(audio_copies=1), seed=1)
    assert len(sounds) == 4 and {why.reason for why in sounds.values()} == {"repeated audio"}
    assert repeated(rows[::-1], Clean(audio_copies=1), seed=1).keys() == sounds.keys()
    assert repeated(rows, Clean(text_copies=1, audio_copies=1), seed=1).keys() >= sounds.keys()


def test_case_and_punctuation_make_no_other_text_and_a_language_does() -> None:
    rows = [GOOD, GOOD._replace(id="b", text="guten tag"), GOOD._replace(id="c", language="nl")]
    assert len(repeated(rows, Clean(text_copies=1), seed=1)) == 1


def test_what_is_heard_otherwise_is_set_aside_and_what_nobody_heard_is_not() -> None:
    assert disagreeing(GOOD, {"a": 0.5}, 0.5) is None
    assert disagreeing(GOOD, {"b": 1.0}, 0.5) is None
    why = disagreeing(GOOD, {"a": 0.75}, 0.5)
    assert why is not None and why.reason == "heard otherwise" and "75 %" in why.detail


def test_an_end_as_loud_as_the_clip_is_at_0_db() -> None:
    assert edge_db(GOOD._replace(head_rms=0.1)) == 0
    assert edge_db(GOOD) == pytest.approx(-34, abs=0.1)


def test_each_filter_of_the_params_is_tested_here() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    assert [name for name in Clean.model_fields if f"{name}=" not in source] == []
