"""The corpus' text -> the text that is trained, by the rules that params.yaml declares."""

import unicodedata

from asr.params import Text


def trained_text(text: str, rules: Text) -> str:
    """`text` after `rules`, trimmed and with single spaces. Letters, digits and combining marks always stay."""
    if rules.unicode != "none":
        text = unicodedata.normalize(rules.unicode, text)
    if rules.lowercase:
        text = text.lower()
    if rules.remove_punctuation:
        text = "".join(c if _is_spoken(c) else " " for c in text)
    return " ".join(text.split())


def _is_spoken(character: str) -> bool:
    """Whether a character belongs to a word: in many scripts the marks (category M) carry the vowels."""
    return unicodedata.category(character)[0] in "LMN"
