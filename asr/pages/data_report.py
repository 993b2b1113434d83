"""A survey of the features -> report.html beside them: one page that needs no network, with sound."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from asr.pages.page import template
from asr.pages.players import players
from asr.survey.alphabet import Alphabet
from asr.survey.survey import Histogram, Survey
from asr.utterances import SPLITS

PAGE = "report.html"
MAX_LETTERS = 60  # of a language, shown
MAX_SOUND_BYTES = 900_000


@dataclass(frozen=True)
class Letter:
    text: str
    count: int
    strange: bool


class Bar(NamedTuple):
    """One bin of a histogram: where it lies and how high each split's part is, in percent of the picture."""

    x: float
    width: float
    parts: Sequence[tuple[str, float, float]]  # split, y of the upper edge, height
    label: str


def write(folder: Path, survey: Survey, rejects: Mapping[str, int], rules: Mapping[str, Any], manifest: Path) -> None:
    """`rules` are the sections audio, text and features of params.yaml; `manifest` is where the sounds are found."""
    heard = [*survey.suspicious, *survey.random]
    names = [*dict.fromkeys(one.id for one in heard)]
    page = template("data_report.html", count=_count, hours=_hours, level=_level).render(
        survey=survey,
        rejects=rejects,
        rules=yaml.safe_dump(dict(rules), sort_keys=False, allow_unicode=True),
        splits=SPLITS,
        bars={one.title: bars(one) for one in survey.histograms},
        letters={code: letters(alphabet) for code, alphabet in survey.alphabets.items()},
        others={code: others(alphabet) for code, alphabet in survey.alphabets.items()},
        players=players(manifest, names, MAX_SOUND_BYTES),
    )
    (folder / PAGE).write_text(page, encoding="utf-8")


def bars(histogram: Histogram) -> list[Bar]:
    """Of all bins, those of the splits above each other."""
    totals = histogram.counts.sum(axis=1)
    tallest = max(1, int(totals.max()))
    width = 100 / len(totals)
    found = []
    for number, counts in enumerate(histogram.counts.tolist()):
        top, parts = 100.0, []
        for split, count in zip(SPLITS, counts, strict=True):
            height = 100 * count / tallest
            top -= height
            if count:
                parts.append((split, round(top, 2), round(height, 2)))
        low, high = number * histogram.step, (number + 1) * histogram.step
        bound = f"{low:g} to {high:g}" if number + 1 < len(totals) else f"{low:g} and more"
        found.append(Bar(round(number * width, 3), round(0.86 * width, 3), parts, f"{bound}: {totals[number]:,}"))
    return found


def letters(alphabet: Alphabet) -> list[Letter]:
    """The commonest, and all strange ones, which come last."""
    strange = alphabet.strange()
    usual = [Letter(_shown(text), n, False) for text, n in alphabet.letters().items() if text not in strange]
    return usual[:MAX_LETTERS] + [Letter(_shown(text), n, True) for text, n in strange.items()][:MAX_LETTERS]


def others(alphabet: Alphabet) -> list[Letter]:
    """Digits, punctuation and symbols, commonest first."""
    known = {*alphabet.letters()}
    found = [
        Letter(_shown(text), n, False)
        for text, n in alphabet.counts.most_common()
        if text.lower() not in known and text not in known and not text.isspace()
    ]
    return found[:MAX_LETTERS]


def lines(survey: Survey, at_most: int = 8) -> Sequence[str]:
    """The findings for a terminal, a line each."""
    shown = [f"{one.n:,}  {one.title.lower()}: {one.param}" for one in survey.findings[:at_most]]
    more = len(survey.findings) - len(shown)
    return [*shown, *([f"and {more} more findings"] if more else [])]


def _shown(character: str) -> str:
    return character if character.isprintable() else f"U+{ord(character):04X}"


def _count(number: float) -> str:
    return f"{number:,.0f}"


def _hours(hours: float) -> str:
    return f"{hours:,.1f} h" if hours >= 1 else f"{60 * hours:,.1f} min"


def _level(decibels: float) -> str:
    return f"{decibels:.0f} dB"
