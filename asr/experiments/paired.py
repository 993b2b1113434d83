"""Two experiments on one test set -> what the second hears better or worse than the first, paired by utterance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from asr import params
from asr.errors import UserError
from asr.evaluate import scoring
from asr.evaluate.alignment import Piece, align
from asr.evaluate.edits import edits
from asr.evaluate.normalize import normalize, written_without_spaces
from asr.evaluate.predictions import Prediction
from asr.evaluate.verdict import DIFFERENCES, MIN_UTTERANCES, Kind, headline, kind
from asr.experiments.experiment import Experiment

N_CHANGED = 12  # utterances in each direction


@dataclass(frozen=True)
class Changed:
    """An utterance whose words (or characters) were heard better or worse: its errors, normalised, and alignments."""

    prediction: Prediction
    n_errors: int
    n_errors_before: int
    n_units: int
    pieces: list[Piece]
    pieces_before: list[Piece]

    @property
    def unit(self) -> str:
        return "characters" if written_without_spaces(self.prediction.language) else "words"

    @property
    def joint(self) -> str:
        """What stands between pieces."""
        return "" if written_without_spaces(self.prediction.language) else " "


@dataclass(frozen=True)
class Pair:
    """An experiment against the first: `scores` as metrics.json has them, with the first one as the baseline."""

    name: str
    scores: Mapping[str, Any]
    title: str
    sentence: str
    kind: Kind
    improved: list[Changed]
    worsened: list[Changed]


def compare(first: Experiment, other: Experiment, choices: params.Evaluate) -> Pair:
    """What `other` heard against what `first` did. Raises `UserError` where their test sets differ."""
    rows = join(first, other)
    scores = scoring.metrics(rows, choices.bootstrap_samples, choices.seed)
    title, sentence, found = _verdict(scores, first.name, other.name)
    improved, worsened = changed(rows, N_CHANGED)
    return Pair(other.name, scores, title, sentence, found, improved, worsened)


def join(first: Experiment, other: Experiment) -> list[Prediction]:
    """The rows of `other`, whose baseline is what `first` heard."""
    known, theirs = ({row.id: row for row in one.predictions} for one in (first, other))
    n_both = sum(known[key].reference == theirs[key].reference for key in known.keys() & theirs.keys())
    if not n_both == len(known) == len(theirs):
        raise UserError(
            f"{first.name} and {other.name} heard different test sets: {len(known):,} and {len(theirs):,} utterances, "
            f"{n_both:,} of them in both; compare experiments on the same corpus"
        )
    return [replace(row, baseline=known[row.id].hypothesis) for row in other.predictions]


def changed(rows: Sequence[Prediction], n: int) -> tuple[list[Changed], list[Changed]]:
    """The `n` utterances that lost most errors against the baseline, and the `n` that gained most; most first."""
    after, before = ([_errors(row, column) for row in rows] for column in ("hypothesis", "baseline"))
    gains = [old[0] - new[0] for old, new in zip(before, after, strict=True)]
    order = sorted(range(len(rows)), key=lambda row: (-abs(gains[row]), rows[row].id))
    found: tuple[list[Changed], list[Changed]] = ([], [])
    for number in order:
        side, row = found[gains[number] < 0], rows[number]
        if gains[number] and len(side) < n:
            (n_errors, n_units), (n_before, _) = after[number], before[number]
            pieces, earlier = (
                list(align(row.reference, text, row.language)) for text in (row.hypothesis, row.baseline)
            )
            side.append(Changed(row, n_errors, n_before, n_units, pieces, earlier))
    return found


def _errors(row: Prediction, column: str) -> tuple[int, int]:
    """Errors and reference units, normalised, in the unit of the language."""
    reference, hypothesis = (normalize(text, row.language) for text in (row.reference, getattr(row, column)))
    (counts,) = edits([reference], [hypothesis], written_without_spaces(row.language)).astype(int)
    return int(counts[:3].sum()), int(counts[3])


def _verdict(scores: Mapping[str, Any], first: str, other: str) -> tuple[str, str, Kind]:
    """A title and a sentence of what the paired interval allows to say."""
    name, n_utterances = headline(scores), scores["n_utterances"]
    interval = scores[DIFFERENCES[name]]
    if interval is None or n_utterances < MIN_UTTERANCES:
        return "Too few to tell", f"A test split of {n_utterances} utterances allows no verdict.", "unclear"
    low, high = interval
    found, unit = kind(scores, name), {"wer": "words", "cer": "characters"}[name]
    if found == "unclear":
        spread = f"The difference lies between {100 * low:+.1f} and {100 * high:+.1f} of 100 {unit}".replace("-", "−")
        return "No clear difference", f"{spread}: it may be chance.", found
    fewest, most = sorted((abs(low), abs(high)))
    direction = "fewer" if found == "better" else "more"
    sentence = f"Of 100 {unit}, between {100 * fewest:.1f} and {100 * most:.1f} {direction} are wrong than in {first}."
    return f"{other} hears {found} than {first}", sentence, found
