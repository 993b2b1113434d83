"""A file of subtitles (SRT, WebVTT) or of Praat's (TextGrid) -> its cues: from when to when, and what is said.

Parsers of our own, because pysubs2 takes identifiers and comments of WebVTT for text and drops a last line that is a
number, and because Praat's format is only its numbers and quoted texts.
"""

import html
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from asr.sources import files
from asr.sources.layout import seconds
from asr.utterances import Rejected, Seconds

SUFFIXES = (".srt", ".vtt", ".textgrid")
FINER = ("word", "words", "phone", "phones", "phoneme", "phonemes", "syllable", "syllables")  # tiers below utterances

# W3C WebVTT, 6.3: hours may be missing; SRT writes a comma.
_CLOCK = r"(?:(\d+):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})"
_TIMES = re.compile(rf"\s*{_CLOCK}\s*-->\s*{_CLOCK}")
_MARKUP = re.compile(r"</?[a-zA-Z0-9][^>]*>|\{\\[^}]*\}")  # <i>, <v Ann>, <00:01.000>; {\an8} of SubStation
_PRAAT = re.compile(r'"((?:[^"]|"")*)"|(?<![^\s])(-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)(?![^\s])|(?<![^\s])<(\w+)>')


class Cue(NamedTuple):
    start_s: Seconds
    end_s: Seconds
    text: str


def cues(path: Path) -> Iterator[Cue | Rejected]:
    """In the order of the file."""
    content = files.text(path).replace("\r\n", "\n").replace("\r", "\n").lstrip("\ufeff")
    yield from _of_textgrid(path, content) if path.suffix.casefold() == ".textgrid" else _of_subtitles(path, content)


def _of_subtitles(path: Path, content: str) -> Iterator[Cue | Rejected]:
    """Blocks between blank lines; one without times is a header, a comment or a style."""
    for number, block in enumerate(re.split(r"\n[^\S\n]*\n+", content), 1):
        lines = block.strip("\n").split("\n")
        at = next((place for place, line in enumerate(lines[:2]) if "-->" in line), None)
        if at is None or lines[0].startswith("NOTE"):
            continue
        times = _TIMES.match(lines[at])
        if times is None:
            yield Rejected(f"{path.name}:{number}", "bad times", lines[at].strip())
            continue
        clock = times.groups(default="0")
        yield Cue(_time_s(*clock[:4]), _time_s(*clock[4:]), _plain(lines[at + 1 :]))


def _time_s(hours: str, minutes: str, whole: str, fraction: str) -> Seconds:
    return int(hours) * 3600 + int(minutes) * 60 + int(whole) + int(fraction.ljust(3, "0")) / 1000


def _plain(lines: list[str]) -> str:
    return " ".join(html.unescape(_MARKUP.sub("", " ".join(lines))).split())


def _of_textgrid(path: Path, content: str) -> Iterator[Cue | Rejected]:
    """The intervals that say something, of all tiers but those of words and sounds.

    Long and short files are the same numbers, texts in quotes and flags, and anything else is decoration (Praat's
    manual, "TextGrid file formats").
    """
    values = (_value(found) for found in _PRAAT.finditer(content))
    try:
        *_, n_tiers = _take(values, 6)  # after what the file is, its times, and that it has tiers
        for _ in range(int(n_tiers)):
            kind, name, _, _, n_parts = _take(values, 5)
            is_used = kind == "IntervalTier" and not _is_finer(name)
            for _ in range(int(n_parts)):
                start, *end, said = _take(values, 3 if kind == "IntervalTier" else 2)
                if is_used and said.strip():
                    yield Cue(seconds(start), seconds(end[0]), " ".join(said.split()))
    except ValueError:
        yield Rejected(path.name, "bad row", "not a whole TextGrid: it ends, or has a text, where a number should be")


def _take(values: Iterator[str], n: int) -> list[str]:
    """Raises `ValueError` where there are fewer."""
    if len(taken := list(islice(values, n))) < n:
        raise ValueError("no more values")
    return taken


def _is_finer(tier: str) -> bool:
    """The Montreal Forced Aligner names them "words" or "SPEAKER - words"."""
    return tier.casefold().split(" - ")[-1].strip() in FINER


def _value(found: re.Match[str]) -> str:
    quoted, number, flag = found.groups()
    return quoted.replace('""', '"') if quoted is not None else number or flag
