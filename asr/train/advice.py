"""What a training is about to do, or has done so far -> a line of advice, or None where nothing is unusual."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from asr.features import FRAMES_PER_SECOND

# The peaks of Whisper's pre-training by the width of the model, which is its size (Radford et al. 2022, appendix).
SIZES = {384: "tiny", 512: "base", 768: "small", 1024: "medium", 1280: "large"}
PRETRAINING_PEAKS = {"tiny": 1.5e-3, "base": 1e-3, "small": 5e-4, "medium": 2.5e-4, "large": 1.75e-4}
# OpenAI's advice to the participants of Hugging Face's Whisper event (2022): a peak about 40 times lower.
FINE_TUNING_PEAKS = {size: peak / 40 for size, peak in PRETRAINING_PEAKS.items()}
FAR_OFF = 8  # times the published peak, or a part of it
# From peft's examples (1e-3, whisper-large-v2, rank 32) down to what others use for fewer steps.
LORA_RANGE = (1e-4, 2e-3)

MANY_EPOCHS = 50
RISING_LOOKS = 3  # in a row; fewer are noise
RISE = 1.05  # times the best look, at least
WAITING_SHARE = 0.1
WAITING_AFTER_S = 30.0  # the first batches wait for the loader to start
NEARLY_ALL = 0.95  # of the clips
SAFE_WINDOW_S = 10  # a shorter one has to be learnt first: without training, Whisper loops in it
WINDOW_STEP_S = 5


class Look(NamedTuple):
    """What a look at the validation split found, and the training's loss (a token) at that step."""

    step: int
    train_loss: float
    validation_loss: float
    validation_wer: float | None  # a ratio


def learning_rate(peak: float, d_model: int, *, lora: bool) -> str | None:
    """On a peak that is far off the published ones for a model of this width; None for a width that is nobody's."""
    if lora:
        low, high = LORA_RANGE
        if low <= peak <= high:
            return None
        return f"train.learning_rate {peak:.1e} is far off what is usual for LoRA: {low:.0e} to {high:.0e}"
    size = SIZES.get(d_model)
    if size is None:
        return None
    published = FINE_TUNING_PEAKS[size]
    if published / FAR_OFF <= peak <= published * FAR_OFF:
        return None
    much, so = ("above", "forgets what it knows") if peak > published else ("below", "hardly changes")
    advised = f"about {published:.3g} is advised for a {size} model"
    return f"train.learning_rate {peak:.1e} is far {much} what is usual, and the model {so}: {advised}"


def epochs(max_steps: int, batch_size: int, n_rows: int) -> str | None:
    """On steps that go through `n_rows` train rows very often."""
    n = max_steps * batch_size / n_rows
    if n <= MANY_EPOCHS:
        return None
    return (
        f"train.max_steps {max_steps} go through the {n_rows} train rows {n:.0f} times, which invites over-fitting; "
        "train.select: wer and train.patience stop in time"
    )


def warmup(warmup_steps: int, max_steps: int) -> str | None:
    """On a learning rate that never comes to its peak."""
    if warmup_steps < max_steps:
        return None
    return (
        f"train.warmup_steps {warmup_steps} last as long as the training of {max_steps} steps, whose learning rate so "
        "never comes to its peak; a tenth of the steps is usual"
    )


def timestamps(share: float, n_timed: int) -> str | None:
    """On timestamps that no row can teach."""
    if not share or n_timed:
        return None
    return f"train.timestamps {share:g} has no effect: no train row's table says start_s and end_s"


def window(needed_frames: NDArray[np.int32], window_s: int) -> str | None:
    """On a window that nearly all clips leave half empty: each costs as much as one that fills it.

    `needed_frames` are the clips' own windows, those for a `model.window_s` of 0.
    """
    needed_s = np.quantile(needed_frames, NEARLY_ALL, method="higher") / FRAMES_PER_SECOND
    smaller_s = max(SAFE_WINDOW_S, int(np.ceil(needed_s / WINDOW_STEP_S)) * WINDOW_STEP_S)
    if 2 * smaller_s > window_s:
        return None
    share = np.mean(needed_frames <= smaller_s * FRAMES_PER_SECOND)
    return (
        f"{100 * share:.0f} % of the clips fit into {smaller_s} s; model.window_s {smaller_s} instead of {window_s} "
        f"trains and decodes about {window_s / smaller_s:.1g} times faster"
    )


def overfitting(looks: Sequence[Look]) -> str | None:
    """On a validation WER (or loss, where no WER is measured) that rises while the training's loss falls."""
    if len(looks) < RISING_LOOKS:
        return None
    wers = [look.validation_wer for look in looks if look.validation_wer is not None]
    by_wer = len(wers) == len(looks)
    scores = wers if by_wer else [look.validation_loss for look in looks]
    last, recent = looks[-RISING_LOOKS:], scores[-RISING_LOOKS:]
    rises = sorted(set(recent)) == recent and recent[-1] >= RISE * min(scores)
    if not rises or not last[-1].train_loss < last[0].train_loss:
        return None
    name = "WER" if by_wer else "loss"
    first, now = (f"{score:.3f}" for score in (recent[0], recent[-1]))
    return (
        f"the validation {name} rises ({first} at step {last[0].step}, {now} at step {last[-1].step}) while the "
        f"training's loss falls, so it over-fits: train.select: {name.lower()} keeps the best weights, train.patience "
        "stops in time, and fewer train.max_steps or train.keep_base: 0.3 forget less"
    )


def waiting(share: float, training_s: float) -> str | None:
    """On a training that waits for its data for a large share of its time."""
    if share <= WAITING_SHARE or training_s < WAITING_AFTER_S:
        return None
    return f"the training waits for data for {100 * share:.0f} % of its time; raise LOADER_WORKERS in the environment"
