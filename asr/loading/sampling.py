"""What an epoch takes of the rows of a split: how often each row comes, in which encoder window, and which with times.

The counts are the same in every epoch, so that it always has the same number of batches.
"""

import numpy as np
from numpy.typing import NDArray

from asr.features import FRAMES_PER_SECOND, MAX_FRAMES
from asr.models.whisper import WINDOW_STEP_S

# Apart from each other, and from what else is drawn from (seed, epoch) and (seed, epoch, row).
OF_ROWS, OF_WINDOWS, OF_TIMES = range(3)


def draw_rows(
    languages: NDArray[np.integer],
    windows: NDArray[np.int32],
    temperature: float,
    seed: tuple[int, int],
    weights: NDArray[np.float64] | None = None,
) -> NDArray[np.int64]:
    """As many row numbers as there are rows with a weight, in order, with the languages balanced by `temperature`.

    `languages` and `windows` are each row's number of a language and its encoder window. A language of n rows gets a
    share proportional to n ** temperature: 1 leaves the rows as they are, 0 gives all languages the same (Conneau et
    al. 2020, https://arxiv.org/abs/1911.02116, section 3.1). A row of weight 2 comes twice as often as one of weight 1
    beside it, a row of weight 0 never. Rows of one language and weight come equally often, give or take one. How many
    of a language, weight and window come does not depend on `seed`, which is (seed, epoch); those that come once more
    take turns over the epochs.
    """
    weights = np.ones(len(languages)) if weights is None else weights
    _, language = np.unique(languages, return_inverse=True)
    n_kept = np.maximum(1, np.bincount(language, weights > 0))
    share = weights * (n_kept ** (temperature - 1.0))[language]
    times_due = np.count_nonzero(weights) * share / (share.sum() or 1.0)
    _, weight = np.unique(weights, return_inverse=True)
    order = np.lexsort((windows, weight, language))
    steps = [np.diff(column[order], append=-1) != 0 for column in (language, weight, windows)]
    ends = np.flatnonzero(np.any(steps, axis=0)) + 1
    due = np.cumsum(times_due[order[ends - 1]] * np.diff(ends, prepend=0))
    # Rounded cumulatively, so that they add up to the rows; half up, whatever the last bits of what is due.
    counts = np.diff(np.floor(due.round(6) + 0.5).astype(np.int64), prepend=0)
    random = _random((seed[0],), OF_ROWS)
    times = np.floor(times_due).astype(np.int64)
    for stratum, count in zip(np.split(order, ends)[:-1], counts.tolist(), strict=True):
        n_more = count - int(times[stratum].sum())
        turn = seed[1] * n_more % len(stratum)
        times[np.roll(random.permutation(stratum), -turn)[:n_more]] += 1
    return np.repeat(np.arange(len(languages)), times)


def draw_windows(windows: NDArray[np.int32], seed: tuple[int, int]) -> NDArray[np.int32]:
    """An encoder window in frames for each row, between its own (`windows`) and 30 s, in steps of 5 s.

    The rows of one own window get these windows equally often, give or take one; which row gets which is drawn from
    `seed`, (seed, epoch).
    """
    random = _random(seed, OF_WINDOWS)
    drawn = np.empty_like(windows)
    for own in np.unique(windows).tolist():
        rows = np.flatnonzero(windows == own)
        larger = [*range(own, MAX_FRAMES, WINDOW_STEP_S * FRAMES_PER_SECOND), MAX_FRAMES]
        drawn[rows] = random.permutation(np.resize(np.array(larger, windows.dtype), len(rows)))
    return drawn


def draw_timed(
    timed: NDArray[np.bool_], n_labels: NDArray[np.int32], share: float, seed: int, max_labels: int
) -> NDArray[np.bool_]:
    """Which rows are to be labelled with their times: about `share` of those that are `timed`, the same in every epoch.

    Whether a row is one of them depends on `seed` and its number alone. A row of `max_labels` stays plain: it would get
    one more.
    """
    return timed & (_random((seed,), OF_TIMES).random(len(timed)) < share) & (n_labels < max_labels)


def _random(seed: tuple[int, ...], purpose: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(purpose,)))
