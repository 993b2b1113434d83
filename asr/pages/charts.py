"""Scores of slices before and after -> charts: rows of two points and an interval on one scale, to be drawn."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from asr.evaluate.slices import EDGES_S
from asr.evaluate.verdict import Kind, Metrics, headline, kind, score_of
from asr.languages import NAMES

MIN_UTTERANCES = 10  # of a slice; under this its interval says nothing, and is not shown
MAX_LIMIT = 1.5  # a base checkpoint that runs in loops has any rate; what is beyond is drawn as an arrow
MAX_TICKS = 6
STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5)  # between ticks

_DURATIONS = {f"under_{EDGES_S[0]}": f"under {EDGES_S[0]} s", f"from_{EDGES_S[-1]}": f"{EDGES_S[-1]} s and more"}
_TEXTS = {"seen": "in train too", "unseen": "not in train"}


class Row(NamedTuple):
    """One slice: rates as ratios, None where it has no words; `kind` is what its paired interval allows to say.

    `interval` is None where there are too few utterances for one.
    """

    label: str
    score: str
    n_utterances: int
    before: float | None
    after: float | None
    interval: Sequence[float] | None
    kind: Kind


class Chart(NamedTuple):
    title: str
    rows: list[Row]
    note: str = ""


@dataclass(frozen=True)
class Scale:
    """From 0 to `limit`, a ratio, with a mark at each of `ticks`."""

    limit: float
    ticks: list[float]

    def percent(self, rate: float) -> float:
        """Where a rate lies, in percent of the width, at most 100."""
        return round(100 * min(rate / self.limit, 1.0), 2)


def charts(metrics: Metrics) -> Iterator[Chart]:
    """Those slices that metrics.json has, a chart each; all on the scale that `scale` gives."""
    name = headline(metrics)
    by_words = sorted(metrics["language"].items(), key=lambda item: -item[1]["n_words"])
    yield Chart("Language", [_row(_language(code), scores, score_of(code)) for code, scores in by_words])
    if sources := metrics.get("source"):
        yield Chart("Corpus", [_row(key, scores, headline(scores)) for key, scores in sources.items()])
    if durations := metrics.get("duration_s"):
        yield Chart("Length of the clip", [_row(_duration(key), scores, name) for key, scores in durations.items()])
    if len(texts := metrics.get("text", {})) > 1:
        yield Chart("Text", [_row(_TEXTS[key], scores, name) for key, scores in texts.items()])
    if speakers := metrics.get("speaker"):
        found = [*speakers["worst"], *reversed(speakers["best"])]
        if len(found) > 1:
            note = (
                f"{speakers['n_compared']:,} of {speakers['n_speakers']:,} known speakers said enough to be compared."
            )
            yield Chart(_of_speakers(speakers), [_row(scores["speaker"], scores, name) for scores in found], note)
    if sets := metrics.get("sets"):
        yield Chart("Other test sets", [_row(key, scores, headline(scores)) for key, scores in sets.items()])


def scale(charts: Iterable[Chart]) -> Scale:
    """What holds all rates and intervals, as far as `MAX_LIMIT`."""
    rates = [rate for chart in charts for row in chart.rows for rate in (row.before, row.after, *(row.interval or ()))]
    limit = min(1.02 * max((rate for rate in rates if rate), default=1.0), MAX_LIMIT)
    step = next((step for step in STEPS if limit / step < MAX_TICKS), STEPS[-1])
    return Scale(limit, [number * step for number in range(math.floor(limit / step) + 1)])


def _row(label: str, scores: Metrics, name: str) -> Row:
    before, after, n_utterances = scores["baseline"][name], scores[name], scores["n_utterances"]
    if n_utterances < MIN_UTTERANCES:
        return Row(label, name, n_utterances, before, after, None, "unclear")
    return Row(label, name, n_utterances, before, after, scores[f"{name}_interval"], kind(scores, name))


def _of_speakers(speakers: Metrics) -> str:
    """Whose rows they are, worst first."""
    n_worst, n_best, n_compared = len(speakers["worst"]), len(speakers["best"]), speakers["n_compared"]
    return "Speakers" if n_worst + n_best == n_compared else f"The {n_worst} worst and {n_best} best speakers"


def _language(code: str) -> str:
    return NAMES.get(code, code).title()


def _duration(key: str) -> str:
    return _DURATIONS.get(key) or key.replace("_", " ") + " s"
