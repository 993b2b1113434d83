"""Predictions -> those with most errors after training, each with the alignment of its words."""

from collections.abc import Sequence
from dataclasses import dataclass

from asr.evaluate.alignment import Piece, align
from asr.evaluate.edits import edits
from asr.evaluate.normalize import normalize, written_without_spaces
from asr.evaluate.predictions import Prediction


@dataclass(frozen=True)
class Misheard:
    """An utterance, how many of its words (or characters) are wrong, normalised, and where."""

    prediction: Prediction
    n_errors: int
    n_errors_before: int
    n_units: int
    unit: str
    pieces: list[Piece]
    joined_with: str


def worst(predictions: Sequence[Prediction], n: int) -> list[Misheard]:
    """The `n` utterances with most errors after training, normalised, most first; none without an error."""
    after = _errors(predictions, "hypothesis")
    found = [row for row in range(len(predictions)) if after[row][0]]
    found.sort(key=lambda row: (-after[row][0], after[row][1], predictions[row].id))
    found = found[:n]
    before = _errors([predictions[row] for row in found], "baseline")
    return [
        _misheard(predictions[row], *after[row], n_before) for row, (n_before, _) in zip(found, before, strict=True)
    ]


def _misheard(prediction: Prediction, n_errors: int, n_units: int, n_errors_before: int) -> Misheard:
    by_character = written_without_spaces(prediction.language)
    return Misheard(
        prediction,
        n_errors=n_errors,
        n_errors_before=n_errors_before,
        n_units=n_units,
        unit="characters" if by_character else "words",
        pieces=list(align(prediction.reference, prediction.hypothesis, prediction.language)),
        joined_with="" if by_character else " ",
    )


def _errors(predictions: Sequence[Prediction], column: str) -> list[tuple[int, int]]:
    """(errors, reference units) of each utterance, both normalised, in the unit of its language."""
    found = [(0, 0)] * len(predictions)
    for by_character in (False, True):
        rows = [row for row, one in enumerate(predictions) if written_without_spaces(one.language) == by_character]
        chosen = [predictions[row] for row in rows]
        table = edits(
            [normalize(one.reference, one.language) for one in chosen],
            [normalize(getattr(one, column), one.language) for one in chosen],
            by_character,
        )
        for row, counts in zip(rows, table.astype(int), strict=True):
            found[row] = (int(counts[:3].sum()), int(counts[3]))
    return found
