"""A text -> as much of it as a picture can show, in the one font that comes with matplotlib.

Fonts of the machine would make the bytes of a picture depend on it. This one has the Latin, Greek, Cyrillic, Arabic,
Hebrew, Armenian, Georgian and Lao scripts.
"""

from functools import cache
from pathlib import Path

import matplotlib
from matplotlib import ft2font

from asr.clips.tally import visible

TEXT_PT = 9


def can_write(text: str) -> bool:
    """Whether the font has every character of `text`."""
    return text.isprintable() and all(ord(character) in _glyphs() for character in text)


def name_of(character: str) -> str:
    """The character, to be read on its own, where the font has it, else its number."""
    shown = visible(character)
    return shown if can_write(shown) else f"U+{ord(character):04X}"


def fitted(text: str, width: float) -> str:
    """As much of `text` as `width` inches hold at `TEXT_PT`, with an ellipsis where it is cut."""
    shown = text
    while len(shown) > 1 and _width(shown) > width:
        shown = shown[:-2].rstrip() + "…"
    return shown


def _width(text: str) -> float:
    """In inches."""
    _font().set_text(text)
    return _font().get_width_height()[0] / 64 / 72


@cache
def _glyphs() -> frozenset[int]:
    return frozenset(_font().get_charmap())


@cache
def _font() -> ft2font.FT2Font:
    font = ft2font.FT2Font(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf")
    font.set_size(TEXT_PT, 72)
    return font
