"""asr/normalize.py: whole words in every script, and the same text from all that differs only in writing."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.normalize import normalize, written_without_spaces


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("hi", "नमस्ते, क्या आप हिन्दी बोलते हैं?", "नमस्ते क्या आप हिन्दी बोलते हैं"),
        ("th", "ที่นี่ ก็ดี!", "ที่นี่ ก็ดี"),
        ("bn", "বাংলা ভাষায় কথা।", unicodedata.normalize("NFC", "বাংলা ভাষায় কথা")),
        ("ml", "എന്റെ ക്ഷേമം.", "എന്റെ ക്ഷേമം"),
        ("ar", "السَّلَامُ عَلَيْكُمْ، كتـــاب؟", "السَّلَامُ عَلَيْكُمْ كتاب"),
        ("fa", "می\u200cشود", "میشود"),
        ("fr", "«L’eau d'Évian», c’est 'bon' !", "leau dévian cest bon"),
        ("uk", "П’ять п'ять пʼять", "пять пять пять"),
        ("de", "STRASSE — Straße…", "strasse strasse"),
        ("tr", "IĞDIR İstanbul", "ığdır istanbul"),
        ("ja", "こんにちは、世界。１２３", "こんにちは 世界 123"),
        ("es", "¡Sí! ❤️ 5€", "sí 5"),
        ("en", "It’s Mr. Smith’s twenty-one dogs, uh, don't!", "it is mister smith is 21 dogs do not"),
        ("en", "?!", ""),
        ("es", "", ""),
    ],
)
def test_a_text_is_normalised_as_its_language_wants(language: str, text: str, expected: str) -> None:
    assert normalize(text, language) == expected


def test_a_word_of_a_script_with_marks_stays_one_word() -> None:
    for word in ("हिन्दी", "ที่นี่", "কথা", "മലയാളം", "السَّلَامُ"):
        assert len(normalize(word, "xx").split()) == 1


@given(st.text())
def test_normalising_twice_changes_nothing(text: str) -> None:
    assert normalize(normalize(text, "es"), "es") == normalize(text, "es")


@given(st.text())
def test_composed_and_decomposed_text_are_the_same(text: str) -> None:
    assert normalize(unicodedata.normalize("NFD", text), "es") == normalize(text, "es")


def test_the_character_error_rate_leads_where_no_spaces_are_written() -> None:
    assert all(map(written_without_spaces, ("zh", "ja", "th", "lo", "km", "my", "yue")))
    assert not any(map(written_without_spaces, ("en", "hi", "ko", "vi")))
