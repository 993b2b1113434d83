"""Rates before and after, and the losses of a training -> pictures, as files and to stand inside a page."""

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Inside a page each colour becomes a variable of its style (report.html), so that light and dark can set it.
INK, FAINT, BEFORE, AFTER = "#1d2129", "#c9ced6", "#9aa3b0", "#0f766e"
_VARIABLES = {INK: "var(--ink)", FAINT: "var(--line)", BEFORE: "var(--before)", AFTER: "var(--after)"}
MAX_MARKED = 30  # points of a curve; more are drawn as a line alone


class Pair(NamedTuple):
    """The rates of one row, as ratios, with the interval of `after`."""

    label: str
    before: float
    after: float
    interval: tuple[float, float]


@contextmanager
def style() -> Iterator[None]:
    """Figures that are saved inside have text as text, dollars too, and the same bytes every time."""
    with matplotlib.rc_context(
        {"font.size": 10, "text.parse_math": False, "svg.fonttype": "none", "svg.hashsalt": "report"}
    ):
        yield


def bars(pairs: Sequence[Pair]) -> Figure:
    """Two bars for each pair, the first pair at the top."""
    figure = Figure(figsize=(6, 0.9 + 0.5 * len(pairs)), layout="constrained")
    axes = figure.add_subplot()
    for row, pair in enumerate(reversed(pairs)):
        before, after, low, high = (100 * rate for rate in (pair.before, pair.after, *pair.interval))
        axes.barh(row + 0.19, before, 0.34, color=BEFORE, label="before")
        axes.barh(row - 0.19, after, 0.34, color=AFTER, label="after")
        axes.plot([low, high], [row - 0.19] * 2, color=INK, linewidth=1.2)
        _number(axes, before, before, row + 0.19)
        _number(axes, after, max(after, high), row - 0.19)
    axes.set_yticks(range(len(pairs)), [pair.label for pair in reversed(pairs)])
    axes.set_xlabel("wrong words (characters where no spaces are written), %")
    axes.margins(x=0.1)
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles[:2], labels[:2], loc="outside upper right", ncols=2, frameon=False)
    quiet(axes)
    return figure


def svg(figure: Figure, label: str) -> str:
    """The figure to stand inside a page: it scales with it, and takes its font and colours. `label` is read aloud."""
    file = io.StringIO()
    figure.savefig(file, format="svg", transparent=True)
    text = file.getvalue().partition("<svg")[2]
    text = re.sub(r'^[^>]*?(viewBox="[^"]+")[^>]*>', rf'<svg \1 role="img" aria-label="{label}">', text)
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL).replace("xlink:href", "href")
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, variable)
    return text


def _number(axes: Axes, percent: float, x: float, y: float) -> None:
    """A bar's value, a little right of `x`."""
    axes.annotate(f"{percent:.1f}", (x, y), (4, 0), textcoords="offset points", va="center")


def quiet(axes: Axes) -> None:
    """Leaves of the frame what is needed to read the values."""
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(FAINT)
    axes.tick_params(length=0, colors=INK)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)
    axes.set_axisbelow(True)
