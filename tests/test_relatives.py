"""asr/relatives.py: a hint for languages that Whisper does not know."""

import pytest

from asr.languages import NAMES, language_code
from asr.relatives import RELATIVES, hint, relative


def test_every_relative_is_known_to_whisper_and_no_language_needs_one_that_is() -> None:
    assert {code for code, _ in RELATIVES.values()} <= NAMES.keys()
    # Cantonese is known to large-v3 alone.
    assert {code for code in RELATIVES if language_code(code)} == {"yue"}


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("ga-IE", "{ga-IE: cy} (Welsh: Celtic)"),
        ("ky", "{ky: kk} (Kazakh: Kipchak Turkic)"),
        ("yue", "{yue: zh} (Chinese: Sinitic)"),
        ("Klingon", "{Klingon: the nearest of those}"),
    ],
)
def test_the_hint_can_be_pasted_into_the_params(language: str, said: str) -> None:
    assert hint(language) == said


def test_a_region_or_a_case_makes_no_other_language() -> None:
    assert relative("RM_sursilv") == relative("rm") == ("it", "Romance")
    assert relative("") is None
