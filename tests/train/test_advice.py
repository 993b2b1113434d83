"""Advice is given where something is far off, names the param, and is silent otherwise."""

import numpy as np
import pytest

from asr.train import advice
from asr.train.advice import Look

WIDTHS = {size: width for width, size in advice.SIZES.items()}


@pytest.mark.parametrize(
    ("size", "published"), [("tiny", 3.75e-5), ("base", 2.5e-5), ("small", 1.25e-5), ("medium", 6.25e-6)]
)
def test_the_advised_peak_is_a_fortieth_of_pre_training_s(size, published):
    assert advice.FINE_TUNING_PEAKS[size] == pytest.approx(published)


@pytest.mark.parametrize(("size", "peak"), [("base", 5e-5), ("small", 1e-5), ("large", 1e-5), ("tiny", 5e-6)])
def test_a_usual_learning_rate_gets_no_advice(size, peak):
    assert advice.learning_rate(peak, WIDTHS[size], lora=False) is None


def test_a_learning_rate_far_off_is_told_with_the_advised_one():
    high = advice.learning_rate(1e-3, WIDTHS["small"], lora=False)
    assert high == (
        "train.learning_rate 1.0e-03 is far above what is usual, and the model forgets what it knows: "
        "about 1.25e-05 is advised for a small model"
    )
    low = advice.learning_rate(1e-8, WIDTHS["small"], lora=False)
    assert low is not None and "far below" in low and "hardly changes" in low


def test_low_rank_updates_want_a_higher_learning_rate():
    assert advice.learning_rate(1e-3, WIDTHS["small"], lora=True) is None
    assert "LoRA: 1e-04 to 2e-03" in str(advice.learning_rate(1e-5, WIDTHS["small"], lora=True))


def test_a_model_of_nobody_s_size_gets_no_advice():
    assert advice.learning_rate(1.0, 64, lora=False) is None


def test_many_epochs_are_told_and_fifty_are_not():
    assert "8 train rows 100 times" in str(advice.epochs(max_steps=100, batch_size=8, n_rows=8))
    assert advice.epochs(max_steps=50, batch_size=8, n_rows=8) is None


def frames(*seconds: int) -> np.ndarray:
    return np.array([100 * second for second in seconds], dtype=np.int32)


def test_a_window_that_stays_half_empty_is_told():
    line = advice.window(frames(*[4] * 97, 25, 28, 30), window_s=30)
    assert line == (
        "97 % of the clips fit into 10 s; model.window_s 10 instead of 30 trains and decodes about 3 times faster"
    )


@pytest.mark.parametrize("window_s", [0, 5, 10, 15])
def test_no_window_under_ten_seconds_is_advised(window_s):
    assert advice.window(frames(1, 2, 3), window_s) is None


def test_a_window_that_a_tenth_of_the_clips_fill_is_right():
    assert advice.window(frames(*[4] * 90, *[29] * 10), window_s=30) is None


def looks(wers: list[float | None], losses: list[float], validation: list[float] | None = None) -> list[Look]:
    validation = validation or [1.0] * len(wers)
    rows = zip(losses, validation, wers, strict=True)
    return [Look(40 * n, loss, own, wer) for n, (loss, own, wer) in enumerate(rows, start=1)]


def test_a_wer_that_rises_while_the_loss_falls_is_over_fitting():
    line = advice.overfitting(looks([0.3, 0.2, 0.25, 0.3], [2, 1, 0.5, 0.1]))
    assert line is not None
    assert line.startswith("the validation WER rises (0.200 at step 80, 0.300 at step 160)")
    assert "train.select: wer" in line and "train.patience" in line and "train.keep_base" in line


def test_without_a_wer_the_validation_loss_decides():
    line = advice.overfitting(looks([None] * 3, [2, 1, 0.5], validation=[1.0, 1.2, 1.4]))
    assert line is not None and "validation loss rises" in line and "train.select: loss" in line


@pytest.mark.parametrize(
    ("wers", "losses"),
    [
        ([0.2, 0.3], [2, 1]),  # too few
        ([0.2, 0.3, 0.25], [2, 1, 0.5]),  # up and down
        ([0.2, 0.2, 0.2], [2, 1, 0.5]),
        ([0.2, 0.201, 0.202], [2, 1, 0.5]),  # within the noise
        ([0.2, 0.3, 0.4], [1, 2, 3]),  # both rise: it diverges, which is something else
        ([0.5, 0.1, 0.101, 0.102], [3, 2, 1, 0.5]),
    ],
)
def test_what_is_no_over_fitting_gets_no_advice(wers, losses):
    assert advice.overfitting(looks(wers, losses)) is None


def test_waiting_for_data_is_told_once_the_training_runs():
    assert advice.waiting(0.25, 100) == (
        "the training waits for data for 25 % of its time; raise LOADER_WORKERS in the environment"
    )
    assert advice.waiting(0.25, 5) is None
    assert advice.waiting(0.05, 100) is None


def test_a_warm_up_as_long_as_the_training_is_told():
    assert advice.warmup(9, 10) is None
    assert "train.warmup_steps 10 last as long as the training of 10 steps" in advice.warmup(10, 10)


def test_timestamps_that_no_row_can_teach_are_told():
    assert advice.timestamps(0.0, 0) is None
    assert advice.timestamps(0.5, 1) is None
    assert advice.timestamps(0.5, 0).startswith("train.timestamps 0.5 has no effect")
