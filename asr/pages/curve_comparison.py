"""The curves of several trainings -> one picture: their losses and word error rates over the steps."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from scipy.ndimage import gaussian_filter1d

from asr.pages.pictures import AFTER, BEFORE, FAINT, INK, quiet
from asr.pages.training_curve import MIN_SMOOTHED, SMOOTHED_SHARE

Curve = Sequence[Mapping[str, float]]  # points with `step`, and values of some of the curves at it

SIZE_INCHES = 7.5, 4.6
COLOURS = (BEFORE, AFTER, "#c2410c", "#4f46e5", "#a16207", "#be185d")


def picture(curves: Sequence[tuple[str, Curve]]) -> Figure | None:
    """A colour for each training, by its name; None if no training has a point. To be drawn within `pictures.style`."""
    if not any(points for _, points in curves):
        return None
    names = ("train_loss", "validation_loss", "validation_wer")
    labels = {
        "train_loss": "training\nloss",
        "validation_loss": "validation\nloss",
        "validation_wer": "validation\nWER",
    }
    shown = [name for name in names if any(name in point for _, points in curves for point in points)]
    figure = Figure(figsize=SIZE_INCHES, layout="constrained")
    panels = figure.subplots(len(shown), sharex=True, squeeze=False)[:, 0]
    for axes, name in zip(panels, shown, strict=True):
        for number, (_, points) in enumerate(curves):
            _line(axes, points, name, COLOURS[number % len(COLOURS)])
        _label(axes, labels[name])
        if name == "validation_wer":
            axes.yaxis.set_major_formatter(lambda rate, _: f"{100 * rate:g} %")
    panels[-1].set_xlabel("step")
    panels[-1].set_xlim(left=0)
    panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    handles = [Line2D([], [], color=COLOURS[number % len(COLOURS)]) for number in range(len(curves))]
    figure.legend(
        handles, [name for name, _ in curves], labelcolor=INK, loc="outside upper right", ncols=3, frameon=False
    )
    figure.align_ylabels(panels)
    return figure


def _line(axes: Axes, points: Curve, name: str, colour: str) -> None:
    """One curve; of a long one, the mean of neighbouring points."""
    found = [(point["step"], point[name]) for point in points if name in point]
    steps, values = [step for step, _ in found], [value for _, value in found]
    if len(values) >= MIN_SMOOTHED:
        values = gaussian_filter1d(values, SMOOTHED_SHARE * len(values), mode="nearest")
    marker = "" if len(steps) >= MIN_SMOOTHED else "o"
    axes.plot(steps, values, color=colour, linewidth=1.7, marker=marker, markersize=3.5)


def _label(axes: Axes, text: str) -> None:
    quiet(axes)
    axes.grid(axis="y", color=FAINT, linewidth=0.5)
    axes.set_ylabel(text, rotation=0, ha="right", va="center")
    axes.set_ylim(bottom=0)
