"""Scores before and after training -> what their intervals allow to say, and what to be warned of."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from asr.evaluate.normalize import written_without_spaces
from asr.evaluate.outline import forgotten
from asr.languages import NAMES

Metrics = Mapping[str, Any]  # metrics.json, or a group of it such as a language
Kind = Literal["better", "worse", "unclear"]

MIN_UTTERANCES = 30  # under this, the interval of a bootstrap is too narrow to found a verdict on
DIFFERENCES = {"wer": "difference_interval", "cer": "difference_cer_interval"}


@dataclass(frozen=True)
class Verdict:
    kind: Kind
    title: str
    sentence: str


def score_of(language: str) -> str:
    """The name of the score that leads for a language: `cer` where words are not set apart, else `wer`."""
    return "cer" if written_without_spaces(language) else "wer"


def headline(metrics: Metrics) -> str:
    """The score that leads over all: `cer` only if it does in every language."""
    return "cer" if all(map(written_without_spaces, metrics["language"])) else "wer"


def kind(scores: Metrics, name: str) -> Kind:
    """What the paired interval of `name` (wer or cer) says of any group, however small."""
    low, high = scores[DIFFERENCES[name]] or (0, 0)
    return "better" if high < 0 else "worse" if low > 0 else "unclear"


def verdict(metrics: Metrics, name: str) -> Verdict:
    """What the paired interval of `name` (wer or cer) allows to say about before and after."""
    interval, n_utterances = metrics[DIFFERENCES[name]], metrics["n_utterances"]
    units = {"wer": "words", "cer": "characters"}[name]
    if interval is None or n_utterances < MIN_UTTERANCES:
        return Verdict("unclear", "Too few to tell", f"A test split of {n_utterances} utterances allows no verdict.")
    low, high = interval
    found = kind(metrics, name)
    if found == "unclear":
        sentence = (
            f"The difference lies between {100 * low:+.1f} and {100 * high:+.1f} of 100 {units}: it may be chance."
        )
        return Verdict(found, "No clear difference", sentence)
    fewest, most = sorted((abs(low), abs(high)))
    title, direction = ("Training helped", "fewer") if found == "better" else ("Training did harm", "more")
    sentence = f"Of 100 {units}, between {100 * fewest:.1f} and {100 * most:.1f} {direction} are wrong than before."
    normalized = metrics["difference_normalized_interval"]
    if name == "wer" and normalized and normalized[0] <= 0 <= normalized[1]:
        sentence += " Without capitals and punctuation the difference may be chance: writing changed more than hearing."
    return Verdict(found, title, sentence)


def warnings(metrics: Metrics) -> list[str]:
    """A sentence for each language, corpus and test set that became worse, and for what train and test share."""
    languages, sources = metrics["language"], metrics.get("source", {})
    groups = [(NAMES.get(code, code).title(), scores, score_of(code)) for code, scores in languages.items()]
    of_sources = [(f"The corpus {name}", scores, headline(scores)) for name, scores in sources.items()]
    found = [
        f"{label} became worse: {name.upper()} {100 * scores['baseline'][name]:.1f} → {100 * scores[name]:.1f} %."
        for label, scores, name in (groups if len(groups) > 1 else []) + (of_sources if len(of_sources) > 1 else [])
        if scores["n_utterances"] >= MIN_UTTERANCES and kind(scores, name) == "worse"
    ]
    found += forgotten(metrics)
    leak = metrics.get("leak", {})
    for thing, effect in (("text", "known texts are easier"), ("speaker", "known voices are easier")):
        if n_shared := leak.get(f"n_{thing}s_in_train"):
            n_all = leak[f"n_{thing}s"]
            found.append(f"{n_shared:,} of the {n_all:,} {thing}s of the test split are in train too: {effect}.")
    return found
