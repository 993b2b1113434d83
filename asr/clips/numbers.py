"""Digits in a text -> words, as num2words says them in a language; what it cannot say for certain stays as it is."""

import re
import unicodedata
from decimal import Decimal
from functools import cache

from num2words import CONVERTER_CLASSES, num2words

# num2words' names of languages that Whisper calls otherwise.
_NAMES = {"kk": "kz", "nn": "no"}
# Where the decimal sign is a point, and a comma groups thousands; elsewhere it is the other way round (Unicode CLDR).
_WITH_POINT = {*("am", "bn", "cy", "en", "fa", "he", "hi", "ja", "kn", "ko", "ms", "my", "ne"), *("pa", "si", "sw")}
_WITH_POINT |= {"ta", "te", "th", "ur", "yo", "yue", "zh"}
_GROUPING_SPACES = "\u00a0\u202f'"
_MONEY = "$€£¥₹"
_MOST = 10**15
_ORDINAL = re.compile(r"(?<![\w.,])(\d{1,9})(?:st|nd|rd|th)\b")
_WORDS = re.compile(r"[^\W\d_]+(?:[ '’\-][^\W\d_]+)*")


def speaks(language: str) -> bool:
    """Whether num2words knows the language, a code of Whisper's."""
    return _NAMES.get(language, language) in CONVERTER_CLASSES


def spelled(text: str, language: str) -> str:
    """`text` with its numbers in words: whole ones, with thousands grouped or not, and decimal fractions.

    English ordinals (21st) too. Stays: what touches a letter or a sign (B2B, 12:30, 3/4, 1-2, $5, 5 %), begins with 0
    (007), has 16 digits or more, or what num2words has no words for. Years are said as other numbers are.
    """
    if language == "en":
        text = _ORDINAL.sub(lambda found: num2words(int(found[1]), lang="en", to="ordinal").replace(",", ""), text)
    return _number(language in _WITH_POINT).sub(lambda found: _said(found, language), text)


@cache
def _number(with_point: bool) -> re.Pattern[str]:
    """A number that stands alone, its whole part and its fraction."""
    point, group = (".", ",") if with_point else (",", ".")
    return re.compile(
        rf"(?<![\w.,:/\-–−{_MONEY}§#])"
        rf"(\d{{1,3}}(?:[{group}{_GROUPING_SPACES}]\d{{3}})+|\d+)(?:{re.escape(point)}(\d+))?"
        rf"(?![\w:/\-–]|[.,']\d|\s?[%‰°{_MONEY}])"
    )


def _said(found: re.Match[str], language: str) -> str:
    """The words of a number, or itself."""
    whole, fraction = re.sub(r"\D", "", found[1]), found[2]
    value: int | Decimal = int(whole)  # whichever script its digits are of
    if (len(whole) > 1 and not int(whole[0])) or value >= _MOST:
        return found.group()
    if fraction:
        value = Decimal(f"{value}.{''.join(str(int(digit)) for digit in fraction)}")
    try:
        said = num2words(value, lang=_NAMES.get(language, language))
    except (NotImplementedError, OverflowError, IndexError, KeyError, ValueError):
        return found.group()
    said = " ".join((said if fraction else said.replace(",", "")).split())
    # Marks of vowels stand between letters in many scripts, and are no letters to `re`.
    letters = "".join(one for one in said if unicodedata.category(one)[0] != "M")
    return said if _WORDS.fullmatch(letters) else found.group()
