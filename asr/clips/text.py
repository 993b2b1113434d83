"""The corpus' text -> the text that is trained, by the rules that params.yaml declares."""

import re
import unicodedata
from collections.abc import Iterable

from asr.clips.numbers import speaks, spelled
from asr.errors import UserError
from asr.languages import NAMES, language_code
from asr.params import Text

# What no reader sees and no speaker says: control characters that are no space, annotation anchors, and Unicode's
# Default_Ignorable_Code_Point (DerivedCoreProperties.txt: soft hyphens, zero-width spaces, direction marks, variation
# selectors, fillers), but for the two joiners, which spell words in some scripts.
_UNSEEN = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\ufff9-\ufffb"
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_JOINERS = re.compile("[\u200c\u200d]+")  # zero-width non-joiner and joiner
_VIRAMA = 9  # the canonical combining class of what takes the vowel from an Indic letter
_CURSIVE, _MARK = "AL", "NSM"  # the bidirectional classes of Arabic's letters and of marks

# What belongs to a word's spelling when letters stand on both sides: apostrophes (l'eau, don't, o‘zbek), hyphens
# (rock-n-roll, из-за; Armenian, Hebrew), Catalan's middle dot (col·lecció), Hebrew's geresh and gershayim, Tibetan's
# tsheg. Unicode's word boundaries (UAX 29) break at a hyphen, but a dictionary does not.
_WITHIN_WORDS = "'’‘＇‐‑·‧־֊׳״་-"
_WITHIN_NUMBERS = ".,:⁄٫٬"  # 3.14, 1,000, 12:30: without them it is another number
_LOOSE = re.compile(rf"(?<!\S)[{_WITHIN_WORDS}]+|[{_WITHIN_WORDS}]+(?!\S)|[{_WITHIN_WORDS}]{{2,}}")
_LOOSE_IN_NUMBERS = re.compile(rf"(?<!\d)[{_WITHIN_NUMBERS}]|[{_WITHIN_NUMBERS}](?!\d)")
# Letters that look like quotes stay: Hebrew's geresh, the modifier letters of Uzbek, Ukrainian or Hawaiian.
_QUOTES = str.maketrans(dict.fromkeys("“”„‟«»＂〝〞〟", '"') | dict.fromkeys("‘’‚‛‹›＇", "'"))
_DASHES = str.maketrans(dict.fromkeys("‐‑‒–—―−﹘﹣－", "-"))
_ARMENIAN = dict.fromkeys(map(ord, "՚՛՜՝՞՟"))  # stand over a vowel in the middle of a word (ի՞նչ)


def trained_text(text: str, rules: Text, language: str = "") -> str:
    """`text` after `rules`, trimmed, with single spaces and without what nobody sees. What comes out comes out again,
    but for digits that were kept for a sign which `remove_punctuation` has taken.

    Letters and digits always stay. So do the marks that carry the vowels of many scripts, and the zero-width joiners
    where they spell a word: beside a virama (Indic) and between Arabic letters (Persian), after RFC 5892, appendix A.
    `remove_punctuation` makes spaces of punctuation and symbols, but for those within a word or a number. `lowercase`
    knows the final sigma of Greek and, where `language` is tr or az, that the dotless i is a letter of its own.

    What `rules.by_language` says of `language` goes before the rest. In this order: what nobody sees goes; Unicode;
    quotes and dashes, so that those which NFKC makes are plain too; digits, while the signs beside them tell what they
    are; case; joiners; punctuation; spaces.
    """
    return _ruled(text, rules.of(language), language)


def check(rules: Text, languages: Iterable[str]) -> None:
    """Raises `UserError` for rules of a language that is none of Whisper's, and numbers that cannot be spelled."""
    for language in rules.by_language:
        if language not in NAMES:
            known = language_code(language)
            remedy = f"it is {known}" if known else "name the one that stands for it in data.languages"
            raise UserError(f"text.by_language: {language!r} is none of Whisper's codes; {remedy}")
    silent = [language for language in languages if rules.of(language).digits == "spell" and not speaks(language)]
    if silent:
        kept = ", ".join(f"{language}: {{digits: keep}}" for language in silent)
        raise UserError(
            f"text.digits: num2words has no sure numbers in {', '.join(silent)}; "
            f"set text.by_language: {{{kept}}}, or spell them in the corpus"
        )


def _ruled(text: str, rules: Text, language: str) -> str:
    text = _UNSEEN.sub("", text)
    if rules.remove_punctuation:
        text = text.translate(_ARMENIAN)
    text = _composed(text, rules)
    if rules.quotes == "plain":
        text = text.translate(_QUOTES)
    if rules.dashes == "plain":
        text = text.translate(_DASHES)
    text = _joined(text, rules)  # before numbers, which it would keep from standing alone
    if rules.digits == "spell":
        text = _joined(_composed(spelled(text, language), rules), rules)
    if rules.lowercase:
        if language in ("tr", "az"):
            text = text.replace("İ", "i").replace("I", "ı")
        text = _joined(_composed(text.lower(), rules), rules)
    if rules.remove_punctuation:
        text = _LOOSE.sub(" ", _LOOSE_IN_NUMBERS.sub(" ", text.translate(_SPOKEN)))
    return " ".join(text.split())


def _composed(text: str, rules: Text) -> str:
    return text if rules.unicode == "none" else unicodedata.normalize(rules.unicode, text)


def _joined(text: str, rules: Text) -> str:
    """With joiners only where they spell a word."""
    if "\u200c" in text or "\u200d" in text:
        text = _composed(_JOINERS.sub(_joiner, text), rules)
    return text


def _joiner(found: re.Match[str]) -> str:
    """The first of the joiners where it spells a word, else nothing."""
    text, start, end = found.string, found.start(), found.end()
    before, after = text[start - 1 : start] or " ", text[end : end + 1] or " "
    is_indic = _VIRAMA in (unicodedata.combining(before), unicodedata.combining(after))
    is_arabic = unicodedata.bidirectional(after) == _CURSIVE and unicodedata.bidirectional(before) in (_CURSIVE, _MARK)
    return found.group()[0] if is_indic or is_arabic else ""


class _Spoken(dict[int, str]):
    """A table for `str.translate`: a space for what belongs to no word, filled as the texts need it."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        category = unicodedata.category(character)
        is_kept = character in _WITHIN_WORDS + _WITHIN_NUMBERS or _JOINERS.match(character)
        self[code] = character if is_kept or category[0] in "LN" or category in ("Mn", "Mc") else " "
        return self[code]


_SPOKEN = _Spoken()
