"""Checkpoints and a test split -> its predictions: the tuned model's at its window and at 30 s beside the base's."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asr.evaluate.decode import Heard, transcribe
from asr.evaluate.predictions import Prediction, join, read_hypotheses
from asr.models.whisper import MAX_WINDOW_S, trained_window_s
from asr.params import Evaluate

SPLIT = "test"


@dataclass(frozen=True)
class Hearing:
    """The predictions of a test split, and of each system (`predictions.SYSTEMS`) what decoding it has counted.

    The tuned model took `seconds` at its window, for `audio_s` seconds of sound.
    """

    predictions: list[Prediction]
    counts: Mapping[str, Mapping[str, int]]
    seconds: float
    audio_s: float

    def told_in(self, scores: dict[str, Any]) -> dict[str, Any]:
        """`scores` of metrics.json with `decoding` for each system, and `speed`."""
        speed = {
            "audio_s": round(self.audio_s, 2),
            "seconds": round(self.seconds, 2),
            "times_real_time": round(self.audio_s / self.seconds, 2),
        }
        return {
            **scores,
            "window_30s": {**scores["window_30s"], "decoding": dict(self.counts["hypothesis_30s"])},
            "baseline": {**scores["baseline"], "decoding": dict(self.counts["baseline"])},
            "decoding": dict(self.counts["hypothesis"]),
            "speed": speed,
        }


def base_at_30s(base: Path, features: Path, chosen: Evaluate, description: str) -> Heard:
    """What the base checkpoint hears; always as Whisper was made, in 30 s. Raises `UserError` as `transcribe` does."""
    return hear_split(base, features, MAX_WINDOW_S, chosen, description)


def hear(model: Path, baseline: Path, features: Path, chosen: Evaluate, description: str) -> Hearing:
    """What the tuned model hears at its window and at 30 s, joined with what `baseline` has of the base checkpoint.

    Raises `UserError` as `transcribe` does, and where `baseline` is of other rows.
    """
    window_s = trained_window_s(model)
    tuned = hear_split(model, features, window_s, chosen, f"{description} at {window_s or 'own'} s")
    at_30s = tuned
    if window_s != MAX_WINDOW_S:
        at_30s = hear_split(model, features, MAX_WINDOW_S, chosen, f"{description} at 30 s")
    base_texts, base_counts = read_hypotheses(baseline)
    systems = {"hypothesis": tuned.hypotheses, "hypothesis_30s": at_30s.hypotheses, "baseline": base_texts}
    counts = {"hypothesis": tuned.counts, "hypothesis_30s": at_30s.counts, "baseline": base_counts}
    return Hearing(join(features, SPLIT, systems), counts, tuned.seconds, tuned.audio_s)


def hear_split(checkpoint: Path, features: Path, window_s: int, chosen: Evaluate, description: str) -> Heard:
    """What a checkpoint hears in the test split at `window_s`; raises `UserError` as `transcribe` does."""
    return transcribe(
        checkpoint,
        features,
        SPLIT,
        window_s,
        chosen.precision,
        description,
        beams=chosen.beams,
        language=chosen.language,
    )
