"""Edits of each utterance after and before training -> intervals of their rates, from resampled speakers or utterances.

Rates are micro-averaged (errors over units of the reference), so that all resamples are one matrix product.
`N` utterances, `U` units that are drawn, `S` samples.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from asr.evaluate.edits import Counts

MIN_SPEAKERS = 5  # under this, resampling speakers says more about the few voices than about the uncertainty
_DRAWS_AT_ONCE = 4_000_000  # bounds the memory (32 MB), whatever the size of the test set

# A score's name -> its interval's, that of the difference after minus before, and that of the share where after is
# better.
_NAMES = {
    "wer": ("wer_interval", "difference_interval", "better_share"),
    "cer": ("cer_interval", "difference_cer_interval", "better_cer_share"),
    "wer_normalized": ("wer_normalized_interval", "difference_normalized_interval", "better_normalized_share"),
}


def units_of(speakers: Sequence[str | None]) -> tuple[npt.NDArray[np.intp], str]:
    """The unit, 0..U-1, that each utterance is drawn with, and its name: `speaker`, or `utterance` where fewer than
    `MIN_SPEAKERS` are known. An utterance of an unknown speaker is a unit of its own.
    """
    if len({speaker for speaker in speakers if speaker is not None}) < MIN_SPEAKERS:
        return np.arange(len(speakers)), "utterance"
    names = [("speaker", speaker) if speaker is not None else ("row", str(row)) for row, speaker in enumerate(speakers)]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.array([numbers[name] for name in names]), "speaker"


def intervals(
    after: Mapping[str, Counts], before: Mapping[str, Counts], units: npt.NDArray[np.intp], n_samples: int, seed: int
) -> dict[str, Any]:
    """95 % percentile intervals of each score after training and of after minus before, and how often after is better.

    `after` and `before` hold (N, 4) under wer, cer and wer_normalized. The test is paired: both are drawn together.
    `better_share` is the share of samples in which after has the lower rate (a tie counts half, so that equal systems
    have 0.5): a one-sided test, whose p-value is about 1 - better_share. From 0.975 the interval of the
    difference lies below zero, up to 0.025 above it. None where no sample has a word.

    Source: Bisani and Ney, Bootstrap estimates for confidence intervals in ASR performance evaluation, ICASSP 2004;
    `better_share` is their probability of improvement.
    """
    columns = [side[name] for name in _NAMES for side in (after, before)]
    per_utterance = np.concatenate(columns, axis=1)  # (N, 4 * 6)
    per_unit = np.zeros((units.max() + 1, per_utterance.shape[1]))
    np.add.at(per_unit, units, per_utterance)
    sums = _resampled(per_unit, n_samples, seed)
    found: dict[str, Any] = {}
    for number, (own, difference, better) in enumerate(_NAMES.values()):
        rates_after, rates_before = (ratios(sums[:, start : start + 4]) for start in (8 * number, 8 * number + 4))
        found[own] = _percentiles(rates_after)
        found[difference] = _percentiles(rates_after - rates_before)
        found[better] = _negative_share(rates_after - rates_before)
    return found


def ratios(sums: Counts) -> npt.NDArray[np.float64]:
    """Errors over reference units of each row of (S, 4); NaN where there are no units."""
    n_units = sums[:, 3]
    return np.divide(sums[:, :3].sum(axis=1), n_units, out=np.full(len(sums), np.nan), where=n_units > 0)


def _resampled(per_unit: Counts, n_samples: int, seed: int) -> Counts:
    """Sums over S resamples, with replacement, of the rows of (U, K): (S, K)."""
    generator = np.random.default_rng(seed)
    n_units = len(per_unit)
    n_at_once = max(1, _DRAWS_AT_ONCE // n_units)
    parts = []
    for start in range(0, n_samples, n_at_once):
        n_rows = min(n_at_once, n_samples - start)
        drawn = generator.integers(n_units, size=(n_rows, n_units)) + n_units * np.arange(n_rows)[:, None]
        times = np.bincount(drawn.ravel(), minlength=n_rows * n_units).reshape(n_rows, n_units)
        parts.append(times.astype(np.float64) @ per_unit)  # as floats: integers miss the fast matrix product
    return np.concatenate(parts)


def _percentiles(rates: npt.NDArray[np.float64]) -> list[float] | None:
    """The middle 95 % of the rates; samples without any reference word say nothing."""
    known = rates[~np.isnan(rates)]
    return [float(edge) for edge in np.percentile(known, (2.5, 97.5))] if len(known) else None


def _negative_share(differences: npt.NDArray[np.float64]) -> float | None:
    known = differences[~np.isnan(differences)]
    return float(((known < 0) + 0.5 * (known == 0)).mean()) if len(known) else None
