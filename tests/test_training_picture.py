"""The picture of a training: its size, what it shows, and that few points or none do not break it."""

import math

import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from asr import training_picture
from asr.training_picture import draw


def points(n_steps: int, every_look: int) -> list[dict[str, float]]:
    found: list[dict[str, float]] = []
    for step in range(1, n_steps + 1):
        found.append({"step": step, "train_loss": 3 * math.exp(-step / 20) + 0.1, "learning_rate": 1e-5 / step})
        if step % every_look == 0:
            found.append({"step": step, "validation_loss": 1.0, "validation_wer": 0.3})
    return found


@pytest.fixture
def drawn(monkeypatch):
    """The figures that are saved."""
    figures: list[Figure] = []
    save = Figure.savefig

    def savefig(self, *args, **kwargs):
        figures.append(self)
        save(self, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", savefig)
    return figures


def test_the_picture_has_all_curves_and_marks_the_kept_step(tmp_path, drawn):
    draw(points(100, 20), tmp_path / "new" / "curves.png", chosen_step=60)
    assert imread(tmp_path / "new" / "curves.png").shape[:2] == (700, 1200)
    losses, wer, rate = drawn[0].axes
    # as it is, smoothed, validation, and the mark
    assert [len(line.get_xdata()) for line in losses.lines] == [100, 100, 5, 2]
    assert [text.get_text() for text in losses.texts] == ["kept: step 60"]
    assert list(wer.lines[0].get_ydata()) == [0.3] * 5
    assert list(rate.lines[0].get_xdata()) == list(range(1, 101))


def test_without_validation_there_is_no_panel_for_it(tmp_path, drawn):
    draw(points(30, 100), tmp_path / "curves.png")
    assert len(drawn[0].axes) == 2


@pytest.mark.parametrize("n_steps", [0, 1, 2, 4])
def test_a_few_points_are_shown_as_points(tmp_path, drawn, n_steps):
    draw(points(n_steps, 3), tmp_path / "curves.png", chosen_step=n_steps or None)
    low, high = drawn[0].axes[0].get_ylim()
    assert low == 0 < high < math.inf
    assert all(line.get_marker() == "o" for line in drawn[0].axes[0].lines if line.get_label() == "training")


def test_a_first_loss_far_above_the_others_does_not_flatten_them(tmp_path, drawn):
    draw([{"step": 1, "train_loss": 100.0}, *points(100, 20)[1:]], tmp_path / "curves.png")
    assert drawn[0].axes[0].get_ylim()[1] < 10


def test_the_same_points_give_the_same_bytes(tmp_path):
    for name in ("one.png", "two.png"):
        draw(points(50, 10), tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    assert training_picture.DPI * training_picture.SIZE_INCHES[0] == 1200
