"""References and what was heard -> word and character error rates and their uncertainty.

jiwer aligns each utterance once; all else is sums over its counts, micro-averaged (errors over reference
words), so that a bootstrap of a thousand samples is one matrix product. `N` utterances, `U` resampled units,
`S` samples.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from asr.edits import Counts, edits
from asr.errors import UserError
from asr.normalize import normalize
from asr.predictions import Prediction

MIN_SPEAKERS = 5  # under this, resampling speakers says more about the few voices than about the uncertainty
_DRAWS_AT_ONCE = 4_000_000  # bounds the bootstrap's memory (32 MB), whatever the size of the test set

Scores = dict[str, Any]

# A score's name -> its interval's, and the interval of its difference after minus before.
_INTERVALS = {
    "wer": ("wer_interval", "difference_interval"),
    "cer": ("cer_interval", "difference_cer_interval"),
    "wer_normalized": ("wer_normalized_interval", "difference_normalized_interval"),
}


def metrics(predictions: Sequence[Prediction], bootstrap_samples: int, seed: int) -> Scores:
    """The content of metrics.json: ratios, not percent; None where there are no words, never NaN.

    Overall and for each language: the scores after training, `window_30s` (the same model at 30 s),
    `baseline`, and 95 % percentile intervals; those of differences are paired, both models on the same
    resamples, so an interval below zero says that training helped. `interval_unit` tells what was resampled:
    speakers, or utterances where fewer than `MIN_SPEAKERS` speakers are known. References without a word
    after normalisation are counted in `n_empty_normalized` and left out of `wer_normalized`. Raises
    `UserError` if there is nothing to score.
    """
    if not predictions:
        raise UserError(
            "no test utterances to score: the test split is empty; raise data.split.test or add a test split"
        )
    systems = {name: _count(predictions, name) for name in ("hypothesis", "hypothesis_30s", "baseline")}
    if not systems["hypothesis"]["wer"][:, 3].any():
        raise UserError(f"none of the {len(predictions)} test utterances has a word in its reference: mend their text")
    languages = np.array([prediction.language for prediction in predictions])
    speakers = [prediction.speaker for prediction in predictions]

    def group(rows: npt.NDArray[np.intp]) -> Scores:
        chosen = {name: {score: counts[rows] for score, counts in table.items()} for name, table in systems.items()}
        units, unit = _units([speakers[row] for row in rows])
        intervals = _intervals(chosen["hypothesis"], chosen["baseline"], units, bootstrap_samples, seed)
        return {
            **_scores(chosen["hypothesis"]),
            "window_30s": _scores(chosen["hypothesis_30s"]),
            "baseline": _scores(chosen["baseline"]),
            **intervals,
            "interval_unit": unit,
        }

    return {
        **group(np.arange(len(predictions))),
        "language": {str(language): group(np.flatnonzero(languages == language)) for language in np.unique(languages)},
    }


def _count(predictions: Sequence[Prediction], system: str) -> dict[str, Counts]:
    """The counts under each score of one column of `Prediction`."""
    references = [prediction.reference for prediction in predictions]
    hypotheses = [getattr(prediction, system) for prediction in predictions]
    languages = [prediction.language for prediction in predictions]
    normalized = edits(
        [normalize(text, language) for text, language in zip(references, languages, strict=True)],
        [normalize(text, language) for text, language in zip(hypotheses, languages, strict=True)],
    )
    return {
        "wer": edits(references, hypotheses),
        "cer": edits(references, hypotheses, characters=True),
        "wer_normalized": normalized * (normalized[:, 3:] > 0),
    }


def _scores(table: dict[str, Counts]) -> Scores:
    substitutions, insertions, deletions, n_words = (int(total) for total in table["wer"].sum(axis=0))
    rates = {name: _ratios(counts.sum(axis=0, keepdims=True))[0] for name, counts in table.items()}
    return {
        **{name: None if np.isnan(rate) else float(rate) for name, rate in rates.items()},
        "n_utterances": len(table["wer"]),
        "n_words": n_words,
        "substitutions": substitutions,
        "insertions": insertions,
        "deletions": deletions,
        "n_empty_normalized": int((table["wer_normalized"][:, 3] == 0).sum()),
    }


def _ratios(sums: Counts) -> npt.NDArray[np.float64]:
    """Errors over reference units of each row of (S, 4); NaN where there are no units."""
    n_units = sums[:, 3]
    return np.divide(sums[:, :3].sum(axis=1), n_units, out=np.full(len(sums), np.nan), where=n_units > 0)


def _units(speakers: Sequence[str | None]) -> tuple[npt.NDArray[np.intp], str]:
    """The unit, 0..U-1, that each utterance is resampled with, and its name; unknown speakers are not shared."""
    if len({speaker for speaker in speakers if speaker is not None}) < MIN_SPEAKERS:
        return np.arange(len(speakers)), "utterance"
    names = [("speaker", speaker) if speaker is not None else ("row", str(row)) for row, speaker in enumerate(speakers)]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.array([numbers[name] for name in names]), "speaker"


def _intervals(
    after: dict[str, Counts],
    before: dict[str, Counts],
    units: npt.NDArray[np.intp],
    n_samples: int,
    seed: int,
) -> Scores:
    """95 % percentile intervals of each score after training, and of after minus before, paired."""
    columns = [side[name] for name in _INTERVALS for side in (after, before)]
    per_utterance = np.concatenate(columns, axis=1)  # (N, 4 * 6)
    per_unit = np.zeros((units.max() + 1, per_utterance.shape[1]))
    np.add.at(per_unit, units, per_utterance)
    sums = _resampled(per_unit, n_samples, seed)
    intervals: Scores = {}
    for number, (own, difference) in enumerate(_INTERVALS.values()):
        rates_after, rates_before = (_ratios(sums[:, start : start + 4]) for start in (8 * number, 8 * number + 4))
        intervals[own] = _percentiles(rates_after)
        intervals[difference] = _percentiles(rates_after - rates_before)
    return intervals


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


def flat(scores: Scores, prefix: str = "") -> dict[str, float]:
    """The numbers of metrics.json by dotted names, as a tracking server wants them; intervals as `.low` and `.high`."""
    found: dict[str, float] = {}
    for key, value in scores.items():
        if isinstance(value, dict):
            found |= flat(value, f"{prefix}{key}.")
        elif isinstance(value, list):
            found |= {f"{prefix}{key}.low": value[0], f"{prefix}{key}.high": value[1]}
        elif isinstance(value, int | float):
            found[f"{prefix}{key}"] = value
    return found


def outline(scores: Scores) -> str:
    """Before and after in a small table for the terminal, a row a language."""
    lines = [
        f"{'':<9}{'utterances':>10}{'WER before':>12}{'after':>8}   {'95 % interval':<18}{'CER before':>10}{'after':>8}"
    ]
    for name, group in [*scores["language"].items(), ("all", scores)]:
        interval = " to ".join(map(_percent, group["wer_interval"] or [None, None]))
        wer_before, cer_before = (_percent(group["baseline"][score]) for score in ("wer", "cer"))
        lines.append(
            f"{name:<9}{group['n_utterances']:>10,}{wer_before:>12}{_percent(group['wer']):>8}   {interval:<18}"
            f"{cer_before:>10}{_percent(group['cer']):>8}"
        )
    before, after = _percent(scores["baseline"]["wer_normalized"]), _percent(scores["wer_normalized"])
    lines.append(f"WER without capitals and punctuation: {before} before, {after} after")
    return "\n".join(lines)


def _percent(rate: float | None) -> str:
    return "-" if rate is None else f"{rate:.1%}"
