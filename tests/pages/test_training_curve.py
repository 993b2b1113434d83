"""The picture of a training: its size, what it shows, and that few points do not break it."""

import math

import pytest

from asr.pages.report import DPI
from asr.pages.training_curve import picture


def points(n_steps: int, every_look: int) -> list[dict[str, float]]:
    found: list[dict[str, float]] = []
    for step in range(1, n_steps + 1):
        found.append({"step": step, "train_loss": 3 * math.exp(-step / 20) + 0.1, "learning_rate": 1e-5 / step})
        if step % every_look == 0:
            found.append({"step": step, "validation_loss": 1.0, "validation_wer": 0.3})
    return found


def test_the_picture_has_all_curves_and_marks_the_kept_step():
    figure = picture(points(100, 20), chosen_steps=[60])
    assert (figure.get_size_inches() * DPI).tolist() == [1200, 700]
    losses, wer, rate = figure.axes
    # as it is, smoothed, validation, and the mark
    assert [len(line.get_xdata()) for line in losses.lines] == [100, 100, 5, 2]
    assert [text.get_text() for text in losses.texts] == ["kept: step 60"]
    assert list(wer.lines[0].get_ydata()) == [0.3] * 5
    assert list(rate.lines[0].get_xdata()) == list(range(1, 101))


def test_without_validation_there_is_no_panel_for_it():
    assert len(picture(points(30, 100)).axes) == 2


def test_a_mean_is_marked_at_each_of_its_steps():
    losses = picture(points(100, 20), chosen_steps=[60, 80]).axes[0]
    assert [text.get_text() for text in losses.texts] == ["kept: the mean of 2"]
    assert [line.get_xdata()[0] for line in losses.lines[-2:]] == [60, 80]


def test_the_narrow_picture_has_the_same_curves():
    wide, narrow = (picture(points(30, 10), size=size).axes for size in ("wide", "narrow"))
    assert [len(axes.lines) for axes in narrow] == [len(axes.lines) for axes in wide]
    assert [axes.get_title(loc="left") for axes in narrow] == [
        "loss a token",
        "WER of the validation clips",
        "learning rate",
    ]


@pytest.mark.parametrize("n_steps", [1, 2, 4])
def test_a_few_points_are_shown_as_points(n_steps):
    losses = picture(points(n_steps, 3), chosen_steps=[n_steps]).axes[0]
    low, high = losses.get_ylim()
    assert low == 0 < high < math.inf
    assert all(line.get_marker() == "o" for line in losses.lines if line.get_label() == "training")


def test_a_first_loss_far_above_the_others_does_not_flatten_them():
    losses = picture([{"step": 1, "train_loss": 100.0}, *points(100, 20)[1:]]).axes[0]
    assert losses.get_ylim()[1] < 10
