"""References and what was heard -> word and character error rates, their uncertainty, and where they come from.

jiwer aligns each utterance once; all else is sums over its counts. `N` utterances.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from asr.errors import UserError
from asr.evaluate.bootstrap import intervals, ratios, units_of
from asr.evaluate.confusions import confusions
from asr.evaluate.edits import Counts, edits
from asr.evaluate.failures import FAILURES, failures
from asr.evaluate.leaks import Leak, count_leak
from asr.evaluate.normalize import normalize, written_without_spaces
from asr.evaluate.predictions import SYSTEMS, Prediction
from asr.evaluate.slices import Rows, by_duration, by_language, by_source, by_speaker, by_text, ends

Scores = dict[str, Any]

# What a slice tells of the scores of a group.
_OF_SLICE = (
    *("n_utterances", "n_words", "wer", "cer", "wer_interval", "cer_interval", "interval_unit"),
    *("difference_interval", "difference_cer_interval", "better_share", "better_cer_share"),
)


@dataclass(frozen=True)
class Counted:
    """What is counted of one system: edits (N, 4) under wer, cer and wer_normalized, and `failures` (N, 3)."""

    edits: Mapping[str, Counts]
    failures: npt.NDArray[np.bool_]

    def of(self, rows: Rows) -> "Counted":
        return Counted({score: counts[rows] for score, counts in self.edits.items()}, self.failures[rows])


def metrics(
    predictions: Sequence[Prediction],
    bootstrap_samples: int,
    seed: int,
    *,
    leak: Leak | None = None,
    sliced: bool = True,
) -> Scores:
    """The content of metrics.json: ratios, not percent; None where there are no words, never NaN.

    Overall, for each language, and for each corpus of a mixture (`source`): the scores after training, `window_30s`
    (the same model at 30 s), `baseline`, and what `bootstrap.intervals` says of after and before; `interval_unit` tells
    what was resampled.
    References without a word after normalisation are counted in `n_empty_normalized` and left out of
    `wer_normalized`. `empty_share`, `looping_share` and `overlong_share` are those of `failures`.

    Slices have fewer numbers: `duration_s` by the edges of `slices`; `speaker` where some are known, with its `worst`
    and `best` as lists; `text` as `seen` or `unseen` and `leak` only if the caller knows what was trained.
    `confusions` is the list of `confusions`. Without `sliced`, all these are left out, as of a further test set.
    Raises `UserError` if there is nothing to score.
    """
    if not predictions:
        raise UserError(
            "no test utterances to score: the test split is empty; raise data.split.test or add a test split"
        )
    languages = [prediction.language for prediction in predictions]
    texts = _normalized(predictions)
    systems = {name: _count(predictions, name, texts) for name in SYSTEMS}
    if not systems["hypothesis"].edits["wer"][:, 3].any():
        raise UserError(f"none of the {len(predictions)} test utterances has a word in its reference: mend their text")

    def group(rows: Rows) -> Scores:
        after, at_30s, before = (systems[name].of(rows) for name in SYSTEMS)
        units, unit = units_of([predictions[row].speaker for row in rows])
        return {
            **_scores(after),
            "window_30s": _scores(at_30s),
            "baseline": _scores(before),
            **intervals(after.edits, before.edits, units, bootstrap_samples, seed),
            "interval_unit": unit,
        }

    def cut(rows: Rows) -> Scores:
        scores = group(rows)
        return {name: scores[name] for name in _OF_SLICE} | {
            "baseline": {name: scores["baseline"][name] for name in ("wer", "cer")}
        }

    everywhere = np.arange(len(predictions))
    scores = group(everywhere)
    scores["language"] = {code: group(rows) for code, rows in by_language(predictions, everywhere).items()}
    if mixed := by_source(predictions):
        scores["source"] = {
            name: group(rows) | {"language": {code: cut(part) for code, part in by_language(predictions, rows).items()}}
            for name, rows in mixed.items()
        }
    if not sliced:
        return scores
    scores |= _slices(predictions, systems["hypothesis"].edits, leak, cut)
    if leak is not None:
        scores["leak"] = count_leak(predictions, leak)
    scores["confusions"] = confusions(texts["reference"], texts["hypothesis"], texts["baseline"], languages)
    return scores


def _slices(
    predictions: Sequence[Prediction], after: Mapping[str, Counts], leak: Leak | None, cut: Callable[[Rows], Scores]
) -> Scores:
    """The slices that are known of these predictions; `cut` gives the numbers of one."""
    found: Scores = {"duration_s": {name: cut(rows) for name, rows in by_duration(predictions).items()}}
    if speakers := by_speaker(predictions):
        score = "cer" if all(written_without_spaces(prediction.language) for prediction in predictions) else "wer"
        worst, best, n_compared = ends(speakers, after[score])
        found["speaker"] = {
            "n_speakers": len(speakers),
            "n_compared": n_compared,
            "worst": [{"speaker": name} | cut(speakers[name]) for name in worst],
            "best": [{"speaker": name} | cut(speakers[name]) for name in best],
        }
    if leak is not None:
        found["text"] = {name: cut(rows) for name, rows in by_text(predictions, leak).items()}
    return found


def _normalized(predictions: Sequence[Prediction]) -> dict[str, list[str]]:
    """The references and what each system heard, normalised; equal texts once, for English takes its time."""
    known: dict[tuple[str, str], str] = {}

    def once(text: str, language: str) -> str:
        if (text, language) not in known:
            known[text, language] = normalize(text, language)
        return known[text, language]

    return {
        name: [once(getattr(prediction, name), prediction.language) for prediction in predictions]
        for name in ("reference", *SYSTEMS)
    }


def _count(predictions: Sequence[Prediction], system: str, texts: Mapping[str, list[str]]) -> Counted:
    """The counts of one column of `Prediction`, given all columns normalised."""
    references = [prediction.reference for prediction in predictions]
    hypotheses = [getattr(prediction, system) for prediction in predictions]
    normalized = edits(texts["reference"], texts[system])
    return Counted(
        {
            "wer": edits(references, hypotheses),
            "cer": edits(references, hypotheses, characters=True),
            "wer_normalized": normalized * (normalized[:, 3:] > 0),
        },
        failures(texts["reference"], texts[system]),
    )


def _scores(counted: Counted) -> Scores:
    substitutions, insertions, deletions, n_words = (int(total) for total in counted.edits["wer"].sum(axis=0))
    rates = {name: ratios(counts.sum(axis=0, keepdims=True))[0] for name, counts in counted.edits.items()}
    shares = dict(zip(FAILURES, counted.failures.mean(axis=0), strict=True))
    return {
        **{name: None if np.isnan(rate) else float(rate) for name, rate in rates.items()},
        "n_utterances": len(counted.failures),
        "n_words": n_words,
        "substitutions": substitutions,
        "insertions": insertions,
        "deletions": deletions,
        "n_empty_normalized": int((counted.edits["wer_normalized"][:, 3] == 0).sum()),
        **{f"{name}_share": float(share) for name, share in shares.items()},
    }


def flat(scores: Scores, prefix: str = "") -> dict[str, float]:
    """The numbers of metrics.json by dotted names, as a tracking server wants them; intervals as `.low` and `.high`.

    Lists of anything else (speakers, confusions) hold names of the corpus and are left out.
    """
    found: dict[str, float] = {}
    for key, value in scores.items():
        if isinstance(value, dict):
            found |= flat(value, f"{prefix}{key}.")
        elif key.endswith("interval") and value is not None:
            found |= {f"{prefix}{key}.low": value[0], f"{prefix}{key}.high": value[1]}
        elif isinstance(value, int | float):
            found[f"{prefix}{key}"] = value
    return found
