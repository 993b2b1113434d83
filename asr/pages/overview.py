"""Tallies of the splits, rejects and a few rows -> overview.png, one look at what the features hold.

The picture is a part of the features, which may not depend on the machine: asr.pages.lettering says how.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from asr.clips.tally import BIN_S, MAX_LANGUAGES, Spoken, Tally, languages_by_hours, outside_alphabet, total
from asr.languages import NAMES
from asr.pages.lettering import TEXT_PT, can_write, fitted, name_of
from asr.pages.pictures import AFTER, BEFORE, FAINT, INK, style

OVERVIEW = "overview.png"
MAX_SAMPLES, MAX_BARS = 8, 10
LOST = "#b45309"
COLOURS = {"train": AFTER, "validation": BEFORE, "test": INK}
LOUDNESS = LinearSegmentedColormap.from_list("loudness", ["#0b1320", "#123b4a", AFTER, "#86d3b4", "#fdf7dc"])

# The page, in inches, measured from its upper left corner.
WIDTH, MARGIN, GAP = 11.0, 0.4, 0.55
COLUMN = (WIDTH - 2 * MARGIN - GAP) / 2
HEADER, TITLE, BAR, LABELS, NUMBERS = 0.75, 0.4, 0.27, 1.55, 0.8
SAMPLE, SAMPLE_TITLE, SAMPLES_A_ROW = 1.25, 0.62, 4

Bars = Mapping[str, Sequence[tuple[str, float]]]  # label -> (colour, value) of each stretch of its bar


class Panel(NamedTuple):
    """A picture with a title: how high it is in inches, how much of its left is for labels, and what draws it."""

    title: str
    height: float
    labels: float
    paint: Callable[[Axes], None]


def draw(
    path: Path, tallies: Mapping[str, Tally], rejects: Mapping[str, int], samples: Sequence[Mapping[str, Any]]
) -> None:
    """Write the picture. `samples` are rows of `asr.shards.read_examples`; at most `MAX_SAMPLES` of them are shown."""
    with style():
        page(tallies, rejects, samples).savefig(path, dpi=150, metadata={"Software": None})


def page(tallies: Mapping[str, Tally], rejects: Mapping[str, int], samples: Sequence[Mapping[str, Any]]) -> Figure:
    """Two columns of panels, each in the shorter one, over rows of spectrograms."""
    ends = [HEADER, HEADER]
    placed: list[tuple[Panel, int, float]] = []
    for panel in _panels(tallies, rejects):
        column = ends.index(min(ends))
        placed.append((panel, column, ends[column]))
        ends[column] += TITLE + panel.height + GAP
    shown = samples[:MAX_SAMPLES]
    n_rows = -(-len(shown) // SAMPLES_A_ROW)
    height = max(ends) + n_rows * (SAMPLE_TITLE + SAMPLE + GAP / 2)
    figure = Figure(figsize=(WIDTH, height), facecolor="white")
    _header(figure, tallies, rejects)
    for panel, column, top in placed:
        left = MARGIN + column * (COLUMN + GAP)
        axes = _axes(figure, left + panel.labels, top + TITLE, COLUMN - panel.labels, panel.height)
        _text(figure, left, top + 0.14, panel.title, weight="bold")
        panel.paint(axes)
    for number, row in enumerate(shown):
        below, beside = divmod(number, SAMPLES_A_ROW)
        _sample(figure, row, max(ends) + below * (SAMPLE_TITLE + SAMPLE + GAP / 2), beside)
    return figure


def _panels(tallies: Mapping[str, Tally], rejects: Mapping[str, int]) -> list[Panel]:
    panels = [
        _bar_panel("Speech by language", _by_language(tallies), _hours),
        Panel("Utterances by duration", 2.0, 0.75, partial(_paint_durations, tallies=tallies)),
    ]
    if rejects:
        reasons = sorted(rejects.items(), key=lambda item: (-item[1], item[0]))
        panels.append(_bar_panel("Rejected", {reason: [(LOST, count)] for reason, count in reasons}, _count))
    if foreign := outside_alphabet(tallies):
        counts = sum(map(Counter, foreign.values()), Counter[str]())
        characters = {
            name_of(character): [
                (COLOURS.get(split, BEFORE), found.get(character, 0)) for split, found in foreign.items()
            ]
            for character, _ in counts.most_common()
        }
        panels.append(_bar_panel("Characters that no text of train has", characters, _count))
    return panels


def _by_language(tallies: Mapping[str, Tally]) -> Bars:
    languages = languages_by_hours(tallies)
    groups = {_language(code): [code] for code in languages[:MAX_LANGUAGES]}
    if len(languages) > MAX_LANGUAGES:
        groups[f"{len(languages) - MAX_LANGUAGES} others"] = languages[MAX_LANGUAGES:]
    return {
        name: [
            (COLOURS.get(split, BEFORE), sum(tally.languages.get(code, Spoken()).hours for code in codes))
            for split, tally in tallies.items()
        ]
        for name, codes in groups.items()
    }


def _bar_panel(title: str, bars: Bars, number: Callable[[float], str]) -> Panel:
    """The first bars on top; more than fit are one bar, unless they are languages, which were cut already."""
    limit = max(MAX_BARS, MAX_LANGUAGES + 1 if number is _hours else 0)
    kept = dict(list(bars.items())[:limit])
    if len(bars) > limit:
        rest = list(bars.values())[limit - 1 :]
        kept.popitem()
        summed = [(stretch[0][0], sum(value for _, value in stretch)) for stretch in zip(*rest, strict=True)]
        kept[f"{len(rest)} others"] = summed
    return Panel(title, BAR * max(1, len(kept)), LABELS, partial(_paint_bars, bars=kept, number=number))


def _paint_bars(axes: Axes, bars: Bars, number: Callable[[float], str]) -> None:
    totals = [sum(value for _, value in stretches) for stretches in bars.values()]
    for row, (stretches, whole) in enumerate(zip(bars.values(), totals, strict=True)):
        left = 0.0
        for colour, value in stretches:
            axes.barh(row, value, 0.62, left=left, color=colour)
            left += value
        axes.annotate(number(whole), (whole, row), (5, 0), textcoords="offset points", va="center", color=INK)
    axes.set_yticks(range(len(bars)), [fitted(label, 0.9 * LABELS - 0.1) for label in bars], ha="left")
    axes.tick_params(axis="y", pad=LABELS * 72)
    axes.set_ylim(max(1, len(bars)) - 0.5, -0.5)
    axes.set_xlim(0, max(totals, default=1) * (1 + NUMBERS / (COLUMN - LABELS - NUMBERS)) or 1)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)


def _paint_durations(axes: Axes, tallies: Mapping[str, Tally]) -> None:
    n_bins = max(total(tallies.values()).durations, default=0) + 1
    below = [0] * n_bins
    for split, tally in tallies.items():
        counts = [tally.durations[number] for number in range(n_bins)]
        starts = [number * BIN_S for number in range(n_bins)]
        axes.bar(starts, counts, BIN_S * 0.9, below, align="edge", color=COLOURS.get(split, BEFORE))
        below = [a + b for a, b in zip(below, counts, strict=True)]
    axes.set_xlim(0, max(n_bins * BIN_S, 2))
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.set_xlabel("seconds", color=INK)
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.grid(axis="y", color=FAINT, linewidth=0.5)


def _sample(figure: Figure, row: Mapping[str, Any], top: float, beside: int) -> None:
    """The spectrogram of a row, low pitches at the bottom, under its language, length and text."""
    gap = 0.25
    width = (WIDTH - 2 * MARGIN - (SAMPLES_A_ROW - 1) * gap) / SAMPLES_A_ROW
    left = MARGIN + beside * (width + gap)
    text = next((text for text in (row["trained_text"], row["id"]) if can_write(text)), "")
    _text(figure, left, top + 0.14, f"{_language(row['language'])}, {row['duration_s']:.1f} s", weight="bold")
    _text(figure, left, top + 0.38, fitted(text, width - 0.1), size=TEXT_PT)
    axes = _axes(figure, left, top + SAMPLE_TITLE - 0.06, width, SAMPLE)
    axes.imshow(row["log_mel"], LOUDNESS, aspect="auto", origin="lower", interpolation="nearest")
    axes.set_axis_off()


def _header(figure: Figure, tallies: Mapping[str, Tally], rejects: Mapping[str, int]) -> None:
    whole = total(tallies.values())
    facts = [f"{whole.rows:,} utterance{'s' * (whole.rows != 1)}", _hours(whole.hours)]
    if len(whole.languages) > 1:
        facts.append(f"{len(whole.languages)} languages")
    if rejects:
        facts.append(f"{sum(rejects.values()):,} rejected")
    _text(figure, MARGIN, 0.36, ", ".join(facts), size=13, weight="bold")
    height = figure.get_figheight()
    figure.legend(
        handles=[
            Patch(color=COLOURS.get(split, BEFORE), label=split) for split, tally in tallies.items() if tally.rows
        ],
        loc="center right",
        bbox_to_anchor=(1 - (MARGIN - 0.1) / WIDTH, 1 - 0.36 / height),
        ncols=len(tallies) or 1,
        frameon=False,
        labelcolor=INK,
        handlelength=1,
    )


def _axes(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Axes at so many inches from the upper left corner."""
    page = figure.get_figheight()
    axes = figure.add_axes((left / WIDTH, 1 - (top + height) / page, width / WIDTH, height / page))
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(FAINT)
    axes.tick_params(length=0, colors=INK)
    axes.set_axisbelow(True)
    return axes


def _text(figure: Figure, left: float, middle: float, text: str, **style: Any) -> None:
    """As it stands: a dollar is no formula."""
    y = 1 - middle / figure.get_figheight()
    figure.text(left / WIDTH, y, text, va="center", color=INK, parse_math=False, **style)


def _language(code: str) -> str:
    return NAMES.get(code, code).title()


def _hours(hours: float) -> str:
    if hours < 1:
        return f"{60 * hours:,.0f} min" if hours * 60 >= 1 else f"{3600 * hours:,.0f} s"
    return f"{hours:,.1f} h" if hours < 100 else f"{hours:,.0f} h"


def _count(count: float) -> str:
    return f"{count:,.0f}"
