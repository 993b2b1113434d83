"""The points of a training's curves -> one picture: losses, word error rate and learning rate over the steps."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from scipy.ndimage import gaussian_filter1d

from asr.pages.pictures import AFTER, BEFORE, FAINT, INK, MAX_MARKED, quiet

Point = Mapping[str, float]  # `step`, and values of some of the curves at it

SIZES = {"wide": (7.5, 4.375), "narrow": (3.5, 4.9)}  # inches; its letters are readable on a phone's width
SMOOTHED_SHARE = 0.02  # of the points, one standard deviation of the Gauss curve that smoothes them
MIN_SMOOTHED = 10  # points; fewer are shown as they are


def picture(points: Sequence[Point], chosen_steps: Sequence[int] = (), size: str = "wide") -> Figure:
    """The curves that there are in `points`; `chosen_steps` are those whose weights were kept, `size` one of `SIZES`.

    To be drawn and saved within `asr.pages.pictures.style`.
    """
    has_wer = any("validation_wer" in point for point in points)
    heights = [3.0, 1.6, 0.8] if has_wer else [3.0, 0.8]
    figure = Figure(figsize=SIZES[size], layout="constrained")
    panels = figure.subplots(len(heights), sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    _losses(panels[0], points)
    if has_wer:
        _wer(panels[1], points)
    _learning_rate(panels[-1], points)
    for axes in panels:
        quiet(axes)
        axes.grid(axis="y", color=FAINT, linewidth=0.5)
        for step in chosen_steps:
            axes.axvline(step, color=INK, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
    panels[-1].set_xlabel("step")
    panels[-1].set_xlim(0, 1.02 * max((point["step"] for point in points), default=1))
    if chosen_steps:
        _name(panels[0], chosen_steps)
    panels[-1].xaxis.set_major_locator(MaxNLocator(5, integer=True))
    if panels[0].lines:
        figure.legend(labelcolor=INK, loc="outside upper right", ncols=2, frameon=False)
    return figure


def _series(points: Sequence[Point], name: str) -> tuple[list[float], list[float]]:
    """The steps and the values of a curve."""
    found = [(point["step"], point[name]) for point in points if name in point]
    return [step for step, _ in found], [value for _, value in found]


def _line(axes: Axes, points: Sequence[Point], name: str, colour: str, label: str | None = None) -> None:
    steps, values = _series(points, name)
    marker = "o" if len(steps) < MAX_MARKED else ""
    axes.plot(steps, values, color=colour, linewidth=1.6, marker=marker, markersize=3.5, label=label, zorder=3)


def _losses(axes: Axes, points: Sequence[Point]) -> None:
    steps, losses = _series(points, "train_loss")
    if len(steps) >= MIN_SMOOTHED:
        axes.plot(steps, losses, color=FAINT, linewidth=1.0, zorder=2)
        smooth = gaussian_filter1d(losses, SMOOTHED_SHARE * len(losses), mode="nearest")
        axes.plot(steps, smooth, color=BEFORE, linewidth=1.8, label="training", zorder=3)
    elif steps:
        _line(axes, points, "train_loss", BEFORE, "training")
    if _series(points, "validation_loss")[0]:
        _line(axes, points, "validation_loss", AFTER, "validation")
    _title(axes, "loss a token")
    axes.set_ylim(0, _top(points))


def _top(points: Sequence[Point]) -> float:
    """Of the losses' axis: the first steps of a training may lie far above all the others, and are cut off."""
    values = [point[name] for point in points for name in ("train_loss", "validation_loss") if name in point]
    return 1.1 * min(max(values), 3 * float(np.quantile(values, 0.9))) if any(values) else 1.0


def _wer(axes: Axes, points: Sequence[Point]) -> None:
    _line(axes, points, "validation_wer", AFTER)
    _title(axes, "WER of the validation clips")
    axes.yaxis.set_major_locator(MaxNLocator(3))
    axes.yaxis.set_major_formatter(lambda rate, _: f"{100 * rate:g} %")
    axes.set_ylim(0, 1.1 * max(_series(points, "validation_wer")[1]) or 1)


def _learning_rate(axes: Axes, points: Sequence[Point]) -> None:
    steps, rates = _series(points, "learning_rate")
    axes.fill_between(steps, rates, color=FAINT, linewidth=0)
    axes.plot(steps, rates, color=BEFORE, linewidth=1.2, marker="o" if len(steps) == 1 else "", markersize=3.5)
    peak = max(rates, default=0.0)
    axes.set_yticks([0, peak] if peak else [0], ["0", f"{peak:.1e}".replace("e-0", "e-")] if peak else ["0"])
    axes.set_ylim(0, 1.2 * peak or 1)
    _title(axes, "learning rate")


def _title(axes: Axes, text: str) -> None:
    """Over the panel, where a narrow screen has room too."""
    axes.set_title(text, loc="left", fontsize=10, color=INK, pad=4)


def _name(axes: Axes, chosen_steps: Sequence[int]) -> None:
    """Names the lines that mark the kept steps, on the side where there is room."""
    low, high = axes.get_xlim()
    on_left = min(chosen_steps) > (low + high) / 2
    outermost = min(chosen_steps) if on_left else max(chosen_steps)
    axes.annotate(
        f"kept: step {outermost}" if len(chosen_steps) == 1 else f"kept: the mean of {len(chosen_steps)}",
        (outermost, 1),
        (-4 if on_left else 4, -2),
        xycoords=axes.get_xaxis_transform(),
        textcoords="offset points",
        ha="right" if on_left else "left",
        va="top",
        color=INK,
        fontsize=9,
    )
