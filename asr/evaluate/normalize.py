"""Text and its language -> the text whose words are compared for the normalised WER, in any script.

Whisper's basic normaliser replaces combining marks by spaces, which breaks Hindi, Thai or Malayalam words
apart and flatters their WER; here letters, digits and marks (Unicode L, N, Mn, Mc) stay and everything else
goes.
"""

import functools
import re
import unicodedata
from collections.abc import Callable

# Written without spaces, so that a word error rate would count a sentence as one word. Korean has spaces.
WITHOUT_SPACES = frozenset({"bo", "dz", "ja", "km", "lo", "my", "th", "wuu", "yue", "zh"})

# What is typed for an apostrophe, among them U+02BC, a letter in Ukrainian, and U+05F3 of Hebrew.
_APOSTROPHES = dict.fromkeys(map(ord, "’‘‛ʼʻʹ´`＇׳"), "'")
_TATWEEL = "\u0640"  # stretches an Arabic word on the page and says nothing

# Whisper's own takes time with the square of the length, and raises on a number of more than 4,300 digits: a loop could
# stall an evaluation, or end it. Nobody says 1,000 characters in 30 s; what is longer is normalised in such pieces.
_PIECES = re.compile(r"\S(?:.{0,998}\S)?(?!\S)|\S{1,1000}", re.DOTALL)


def written_without_spaces(language: str) -> bool:
    """Whether the character error rate is the headline for this language (ISO 639 code)."""
    return language.lower() in WITHOUT_SPACES


def normalize(text: str, language: str) -> str:
    """`text` in lower case with single spaces, without punctuation, symbols or zero-width characters.

    Apostrophes go without a trace ("l’eau" = "leau"). Idempotent but for English, which passes through
    Whisper's own normaliser (contractions, numbers, titles) as published results do. That is used with an
    empty table of spellings, because the table comes with some checkpoints only, and a WER must not depend on
    which one is there: "colour" and "color" are two words.
    """
    if language.lower() == "en":
        pieces = _PIECES.findall(unicodedata.normalize("NFKC", text.translate(_APOSTROPHES)))
        words = " ".join(" ".join(map(_english(), pieces)).split())
        return words if any(map(str.isalnum, words)) else ""  # Whisper's own leaves a dot of "...", as if it were said
    if language.lower() in ("tr", "az"):  # the dotless i is a letter of its own
        text = text.replace("İ", "i").replace("I", "ı")
    # Twice: what compatibility decomposes can hold capitals ("㎯") and apostrophes ("ŉ") again.
    for _ in range(2):
        text = unicodedata.normalize("NFKC", text.translate(_APOSTROPHES)).casefold()
    return " ".join(unicodedata.normalize("NFC", text.translate(_KEPT)).split())


class _Kept(dict[int, str]):
    """A table for `str.translate`: what becomes of a code point, filled as the texts need it."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        category = unicodedata.category(character)
        if category == "Cf" or character in ("'", _TATWEEL) or "VARIATION SELECTOR" in unicodedata.name(character, ""):
            kept = ""
        elif category[0] in "LN" or category in ("Mn", "Mc"):
            kept = character
        else:
            kept = " "
        self[code] = kept
        return kept


_KEPT = _Kept()


@functools.cache
def _english() -> Callable[[str], str]:
    # Imported here: transformers takes a second, and only English needs it.
    from transformers.models.whisper.english_normalizer import EnglishTextNormalizer

    return EnglishTextNormalizer(english_spelling_mapping={})
