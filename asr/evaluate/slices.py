"""Predictions -> named groups of their rows: by language, corpus, duration, speaker, and text seen in training."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from asr.evaluate.bootstrap import ratios
from asr.evaluate.edits import Counts
from asr.evaluate.leaks import Leak, text_key
from asr.evaluate.predictions import Prediction

Rows = npt.NDArray[np.intp]

EDGES_S = (2, 5, 10, 20)  # commands, sentences, long sentences, paragraphs; the same in every report, to compare them
MIN_UNITS_OF_SPEAKER = 100  # words (or characters): under this, one wrong word moves a speaker's rate by a point
N_SPEAKERS = 5  # shown at each end


def by_duration(predictions: Sequence[Prediction]) -> dict[str, Rows]:
    """Rows by seconds, lower edge included; clips of unknown length in none. Groups without rows are left out."""
    durations_s = np.array([np.nan if row.duration_s is None else row.duration_s for row in predictions])
    edges = (0, *EDGES_S, np.inf)
    names = [f"under_{EDGES_S[0]}", *(f"{low}_to_{high}" for low, high in pairwise(EDGES_S)), f"from_{EDGES_S[-1]}"]
    found = {
        name: np.flatnonzero((durations_s >= low) & (durations_s < high))
        for name, (low, high) in zip(names, pairwise(edges), strict=True)
    }
    return {name: rows for name, rows in found.items() if len(rows)}


def by_text(predictions: Sequence[Prediction], leak: Leak) -> dict[str, Rows]:
    """Rows whose text was `seen` in training, and `unseen`."""
    seen = np.array([text_key(row.language, row.reference) in leak.texts for row in predictions], dtype=bool)
    found = {"seen": np.flatnonzero(seen), "unseen": np.flatnonzero(~seen)}
    return {name: rows for name, rows in found.items() if len(rows)}


def by_language(predictions: Sequence[Prediction], rows: Rows) -> dict[str, Rows]:
    """Those of `rows` in each language, by its code."""
    codes = np.array([predictions[row].language for row in rows])
    return {str(code): rows[codes == code] for code in np.unique(codes)}


def by_source(predictions: Sequence[Prediction]) -> dict[str, Rows]:
    """Rows of each corpus of a mixture, by name; none where there was but one corpus."""
    return dict(sorted(_known([prediction.source for prediction in predictions]).items()))


def by_speaker(predictions: Sequence[Prediction]) -> dict[str, Rows]:
    """Rows of each known speaker."""
    return _known([prediction.speaker for prediction in predictions])


def _known(names: Sequence[str | None]) -> dict[str, Rows]:
    """Rows of each name, in the order in which names first come; those without are in none."""
    found: dict[str, list[int]] = {}
    for row, name in enumerate(names):
        if name is not None:
            found.setdefault(name, []).append(row)
    return {name: np.array(rows) for name, rows in found.items()}


def ends(groups: dict[str, Rows], counts: Counts) -> tuple[list[str], list[str], int]:
    """The groups with the highest rate, worst first, those with the lowest, best first, and how many were compared.

    `counts` are the edits of every row, (N, 4). Groups of fewer than `MIN_UNITS_OF_SPEAKER` reference units are not
    compared; none is at both ends.
    """
    sums = {name: counts[rows].sum(axis=0) for name, rows in groups.items()}
    enough = [name for name, total in sums.items() if total[3] >= MIN_UNITS_OF_SPEAKER]
    rates = {name: float(ratios(sums[name][None])[0]) for name in enough}
    ordered = sorted(enough, key=lambda name: (-rates[name], name))
    n_worst = min(N_SPEAKERS, (len(ordered) + 1) // 2)
    n_best = min(N_SPEAKERS, len(ordered) - n_worst)
    return ordered[:n_worst], ordered[len(ordered) - n_best :][::-1], len(ordered)
