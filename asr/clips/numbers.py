"""Digits in a text -> words, as num2words says them in a language; what it cannot say for certain stays as it is."""

import re
import unicodedata
from decimal import Decimal
from functools import cache, lru_cache

from num2words import CONVERTER_CLASSES, num2words

# num2words' names of languages that Whisper calls otherwise.
_NAMES = {"kk": "kz"}
# It has these, but not as they are written or spoken: Welsh counts by twenties and halves, Kannada and Telugu lack what
# changes where words meet, Korean has other numbers before most nouns, Serbian comes in Latin letters alone.
_UNSURE = {"cy", "kn", "ko", "sr", "te"}
# The largest number that it spells well, where that is under _MOST; and how Brazil says what Portugal says otherwise.
_UP_TO = {"am": 1000, "da": 999, "hu": 2000, "no": 99, "sv": 999}
_OTHERWISE = {"pt": "pt_BR"}
_MOST = 10**9 - 1

# After Unicode CLDR. A comma groups the first, where a point is the decimal sign; points group the second; spaces group
# all but the first. Spanish and Arabic group by either, from country to country.
_COMMAS = {"am", "bn", "en", "fa", "he", "ja", "th"}
_POINTS = {"az", "ca", "da", "de", "id", "is", "it", "nl", "pt", "ro", "sl", "tr", "vi"}
# Where num2words says 3.5 as people do; where it also says 3.45 so, digit by digit.
_FRACTIONS = {"da", "de", "en", "fi", "fr", "he", "hu", "id", "is"} | {"nl", "no", "pl", "pt", "ro", "ru", "sv", "th"}
_LONG_FRACTIONS = {"de", "en", "th"}
# Where 1 is one word whatever follows, no article; where a point after it makes an ordinal of a number (3. Mai); what
# may be a year, which is said in hundreds; where words have no spaces between them.
_ONE = {"am", "az", "bn", "en", "fa", "fi", "hu", "id", "ja", "kk", "th", "tr", "vi"}
_ORDINAL_POINT = {"az", "cs", "da", "de", "fi", "hu", "is", "lv", "no", "pl", "sk", "sl", "tr"}
_YEARS = {"en": range(1100, 2100), "nl": range(1100, 2100), "de": range(1100, 2000), "is": range(1100, 2000)}
_SCRIPTS = {"ja": ("CJK", "HIRAGANA", "KATAKANA"), "th": ("THAI",)}

_SIGNS = "%‰٪°$€£¥₹₽₴₺฿"  # said before or after the number, wherever they are written
_OPENING, _CLOSING = '«‹“„([{¿¡…—"', "»›”)]}.,;:!?…—।。、，；：？！؟،؛"
# All that hangs together, so that no part of a date or a score is taken for a number: 3/4, 12:30, 1-2, 1.2.3, 1 000.
_TOGETHER = re.compile(r"\d+(?:(?:[.,:/⁄'’‐‑‒–—−·٫٬+*=×^-]|\s+(?=\d{3}(?!\d)))\d+)*")
_ENGLISH_ORDINAL = re.compile(r"(?<![^\s\"«“(\[—])([1-9]\d{0,8})(?:st|nd|rd|th)\b", re.IGNORECASE)
_TURKISH = re.compile(  # which it joins, as nobody does but on cheques
    "sıfır|bir|iki|üç|dört|beş|altı|yedi|sekiz|dokuz|on|yirmi|otuz|kırk|elli|altmış|yetmiş|seksen|doksan|yüz|bin|milyon"
)
_WORDS = re.compile(r"[^\W\d_]+(?:[ '’\-][^\W\d_]+)*")


def speaks(language: str) -> bool:
    """Whether numbers can be spelled in the language, a code of Whisper's."""
    return language not in _UNSURE and _NAMES.get(language, language) in CONVERTER_CLASSES


def spelled(text: str, language: str) -> str:
    """`text` with its numbers in words as one counts, without gender or case: whole ones, and decimal fractions.

    English ordinals (21st) too. Stays: what touches a letter or a sign (B2B, 12:30, 3/4, 1-2, $5, 5 %), begins with 0
    (007), may be a year (1990, where that is said otherwise), an ordinal (3. Mai) or an article (1 Hund), is grouped as
    no or only some speakers of the language do, is over 999,999,999, or what num2words says wrongly. Digits of every
    script are read. A language that `speaks` denies keeps its digits.
    """
    if not speaks(language):
        return text
    if language == "en":
        text = _ENGLISH_ORDINAL.sub(lambda found: _words(int(found[1]), "en", "ordinal") or found.group(), text)
    return _TOGETHER.sub(lambda found: _said(found, language) or found.group(), text)


def _said(found: re.Match[str], language: str) -> str | None:
    """The words of a number that stands alone; None if it can be said otherwise."""
    match = _number(language).fullmatch(found.group())
    if not match or not _stands_alone(found, language):
        return None
    whole, fraction = re.sub(r"\D", "", match[1]), match[2] if match.lastindex == 2 else ""
    if len(whole) > 1 and not int(whole[0]):
        return None
    value = int(whole)  # whichever script its digits are of
    if value > _UP_TO.get(language, _MOST):
        return None
    if fraction:
        is_sure = int(fraction[-1]) > 0  # of 3.50 num2words forgets the last
        return _words(Decimal(f"{value}.{int(fraction):0{len(fraction)}}"), language) if is_sure else None
    is_article = value == 1 or (language == "es" and value % 10 == 1 and value % 100 != 11)  # veintiún gatos
    is_year = match[1].isdecimal() and value in _YEARS.get(language, ())
    return None if is_year or (is_article and language not in _ONE) else _words(value, language)


@cache
def _number(language: str) -> re.Pattern[str]:
    """A whole number and, where it can be said, its fraction."""
    groups = "," if language in _COMMAS else "." if language in _POINTS else ""
    spaces = r"\u00a0\u202f" if language in _COMMAS else r"\s"
    whole = rf"(\d{{1,3}}(?:[{groups}{spaces}'’٬]\d{{3}})+|\d+)"
    if language not in _FRACTIONS:
        return re.compile(whole)
    return re.compile(rf"{whole}(?:[{'.' if language in _COMMAS else ','}٫](\d{'+' * (language in _LONG_FRACTIONS)}))?")


def _stands_alone(found: re.Match[str], language: str) -> bool:
    text, start, end = found.string, found.start(), found.end()
    before, after = text[max(0, start - 2) : start], text[end : end + 2]
    if any(side and side in _SIGNS for side in (before.strip()[-1:], after.strip()[:1])):
        return False
    if language in _ORDINAL_POINT and after[:1] == "." and after != "..":
        return False
    is_open = not before or before[-1].isspace() or before[-1] in _OPENING or _is_own(before[-1], language)
    return is_open and (not after or after[0].isspace() or after[0] in _CLOSING or _is_own(after[0], language))


def _is_own(letter: str, language: str) -> bool:
    """Whether a number may touch it: a letter of a language that writes without spaces."""
    return unicodedata.name(letter, "").startswith(_SCRIPTS.get(language, ("-",)))


@lru_cache(maxsize=10_000)
def _words(value: int | Decimal, language: str, kind: str = "cardinal") -> str | None:
    """What num2words says; None where that is nothing, no word, or only what one of two countries says."""
    name = _NAMES.get(language, language)
    try:
        said = {_tidy(num2words(value, lang=one, to=kind), name) for one in (name, _OTHERWISE.get(language, name))}
    except (ArithmeticError, LookupError, NotImplementedError, TypeError, ValueError):  # it raises any of them
        return None
    words = said.pop()
    # Marks of vowels stand between letters in many scripts, and are no letters to `re`.
    letters = "".join(one for one in words if unicodedata.category(one)[0] != "M")
    return words if not said and _WORDS.fullmatch(letters) else None


def _tidy(said: str, language: str) -> str:
    """Without commas, and with spaces where the language has them."""
    if language == "tr":
        return " ".join(_TURKISH.findall(said))
    words = " ".join(said.replace(",", "").split())
    return words.replace(" و ", " و") if language == "ar" else words  # "and" belongs to the word after it
