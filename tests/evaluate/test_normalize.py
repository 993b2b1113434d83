"""asr/evaluate/normalize.py: whole words in every script, and the same text from all that differs only in writing."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers.models.whisper.english_normalizer import BasicTextNormalizer, EnglishTextNormalizer

from asr.evaluate.normalize import normalize, written_without_spaces

ENGLISH = "It's Mr. Smith, (aside) [noise] hmm won't 1,000 $2.50 twenty-one million and a half colour Café 50% ? ..."


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
        ("en", "...", ""),
        ("en", "well...", "well ."),
        ("es", "", ""),
    ],
)
def test_a_text_is_normalised_as_its_language_wants(language: str, text: str, expected: str) -> None:
    assert normalize(text, language) == expected


@pytest.mark.parametrize(
    ("language", "word", "n_shards"),
    [("hi", "हिन्दी", 3), ("th", "ที่นี่", 2), ("bn", "বাংলা", 2), ("ml", "മലയാളം", 2), ("ar", "السَّلَامُ", 3)],
)
def test_a_word_stays_whole_where_the_widespread_normaliser_shatters_it(
    language: str, word: str, n_shards: int
) -> None:
    assert normalize(f"{word}!", language) == unicodedata.normalize("NFC", word)
    assert len(BasicTextNormalizer()(word).split()) == n_shards


def test_a_wrong_vowel_is_an_error_that_the_widespread_normaliser_does_not_see() -> None:
    for language, word, other in (("hi", "की", "का"), ("th", "ที่", "ที้"), ("bn", "কি", "কা"), ("ar", "كَتَبَ", "كُتِبَ")):
        assert normalize(word, language) != normalize(other, language)
        assert BasicTextNormalizer()(word).split() == BasicTextNormalizer()(other).split()


@given(st.lists(st.sampled_from(ENGLISH.split()), max_size=25).map(" ".join))
def test_english_is_normalised_as_whisper_does_it(text: str) -> None:
    expected = " ".join(EnglishTextNormalizer({})(text).split())
    assert normalize(text, "en") == (expected if any(map(str.isalnum, expected)) else "")


def test_a_long_english_text_is_normalised_in_pieces_that_lose_no_word() -> None:
    text = "Mr. Smith doesn't know, " * 200
    assert normalize(text, "en") == " ".join(["mister smith does not know"] * 200)
    assert normalize("1" * 5000, "en").replace(" ", "") == "1" * 5000  # Whisper's own raises on it
    assert normalize(("x" * 998 + " ") * 3 + "y", "en") == ("x" * 998 + " ") * 3 + "y"


@given(st.text())
def test_normalising_twice_changes_nothing(text: str) -> None:
    assert normalize(normalize(text, "es"), "es") == normalize(text, "es")


@given(st.text())
def test_composed_and_decomposed_text_are_the_same(text: str) -> None:
    assert normalize(unicodedata.normalize("NFD", text), "es") == normalize(text, "es")


def test_the_character_error_rate_leads_where_no_spaces_are_written() -> None:
    assert all(map(written_without_spaces, ("zh", "ja", "th", "lo", "km", "my", "yue")))
    assert not any(map(written_without_spaces, ("en", "hi", "ko", "vi")))
