"""Features -> all that the page of a corpus shows: sizes, histograms, alphabets, findings, and rows to listen to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.corpora.limits import place
from asr.survey.alphabet import Alphabet
from asr.survey.finding import Finding
from asr.survey.findings import findings
from asr.survey.rows import Flags, Numbers, Rows
from asr.utterances import SPLITS

N_BINS, N_LISTENED = 40, 20
SEED = 1  # of the rows that are drawn


@dataclass(frozen=True)
class Histogram:
    """Counts of each bin by split, `(N_BINS, 3)`; bins are `step` wide from 0 on, the last one takes what is beyond."""

    title: str
    unit: str
    step: float
    counts: NDArray[np.int64]
    median: float
    beyond: int


@dataclass(frozen=True)
class Size:
    """What there is of one language, in one split or in all."""

    language: str
    split: str
    n_utterances: int
    hours: float
    n_speakers: int
    tokens_a_character: float
    labels_a_clip: float
    characters_a_second: float


@dataclass(frozen=True)
class Heard:
    """A row to listen to, and why."""

    id: str
    language: str
    split: str
    text: str
    duration_s: float
    rms_db: float
    characters_a_second: float
    speaker: str | None
    reasons: Sequence[str]


@dataclass(frozen=True)
class Survey:
    sizes: list[Size]
    n_utterances: int
    hours: float
    n_speakers: int
    histograms: list[Histogram]
    alphabets: Mapping[str, Alphabet]
    findings: list[Finding]
    changed: list[tuple[str, str]]  # text of the corpus, text that is trained
    suspicious: list[Heard]
    random: list[Heard]


def survey(rows: Rows, rejects: Mapping[str, int], n_special: int = 5) -> Survey:
    """`n_special` are the labels of a clip that are not its text: five, or three of English-only checkpoints."""
    texts = rows.of("trained_text")
    alphabets = {code: Alphabet.of(texts[n] for n in np.flatnonzero(members)) for code, members in rows.groups()}
    found = findings(rows, alphabets, rejects)
    drawn = sorted(range(len(rows)), key=lambda n: place(SEED, rows.of("id")[n]))[:N_LISTENED]
    return Survey(
        _sizes(rows, n_special),
        len(rows),
        float(rows.levels["duration_s"].sum() / 3600),
        len({*rows.of("speaker")} - {None}),
        [
            _histogram("Duration", "seconds", rows.levels["duration_s"], rows),
            _histogram("Characters a second", "of the trained text", rows.characters_a_second, rows),
            _histogram("Labels", "tokens a clip, with the prefix", rows.n_labels, rows),
        ],
        alphabets,
        found,
        _changed(rows),
        _suspicious(rows, found),
        [_heard(rows, n, []) for n in drawn],
    )


def _sizes(rows: Rows, n_special: int) -> list[Size]:
    """By language, the one with most speech first, a line for each split that has some."""
    seconds = rows.levels["duration_s"]
    languages = sorted(rows.groups(), key=lambda item: -float(seconds[item[1]].sum()))
    return [
        _size(rows, code, split, members & rows.in_split(split), n_special)
        for code, members in languages
        for split in SPLITS
        if (members & rows.in_split(split)).any()
    ]


def _size(rows: Rows, code: str, split: str, members: Flags, n_special: int) -> Size:
    seconds = float(rows.levels["duration_s"][members].sum())
    n, n_characters = int(members.sum()), float(rows.n_characters[members].sum())
    n_labels = float(rows.n_labels[members].sum())
    speakers = {rows.of("speaker")[row] for row in np.flatnonzero(members).tolist()} - {None}
    return Size(
        code,
        split,
        n,
        seconds / 3600,
        len(speakers),
        (n_labels - n_special * n) / max(1, n_characters),
        n_labels / n,
        n_characters / max(1e-3, seconds),
    )


def _histogram(title: str, unit: str, values: Numbers, rows: Rows) -> Histogram:
    """Up to the 99.5th percentile, in round steps."""
    top = float(np.percentile(values, 99.5)) if len(values) else 1.0
    step = next(step for step in STEPS if step * N_BINS >= top)
    bins = np.minimum((values / step).astype(np.int64), N_BINS - 1)
    counts = np.zeros((N_BINS, len(SPLITS)), np.int64)
    np.add.at(counts, (bins, rows.split), 1)
    median = float(np.median(values)) if len(values) else 0.0
    return Histogram(title, unit, step, counts, median, int((values >= step * N_BINS).sum()))


STEPS = (0.05, 0.1, 0.2, 0.25, 0.5, 1, 2, 5, 10, 12, 20, 50, 1e9)


def _changed(rows: Rows) -> list[tuple[str, str]]:
    """A few texts that the text rules change, drawn by a seed."""
    pairs = [*zip(rows.of("text"), rows.of("trained_text"), strict=True)]
    changed = [n for n, (text, trained) in enumerate(pairs) if text != trained]
    changed.sort(key=lambda n: place(SEED, rows.of("id")[n]))
    return [pairs[n] for n in changed[:8]]


def _suspicious(rows: Rows, found: Sequence[Finding]) -> list[Heard]:
    """The rows of the findings: those of most findings first, then from each finding in turn."""
    reasons: dict[int, list[str]] = {}
    for finding in found:
        for row in finding.rows:
            reasons.setdefault(row, []).append(finding.title)
    several = sorted((row for row, why in reasons.items() if len(why) > 1), key=lambda row: (-len(reasons[row]), row))
    queues: list[list[Any]] = [
        sorted(one.rows, key=lambda n: place(SEED, rows.of("id")[n])) for one in found if one.rows
    ]
    turns = (queue[turn] for turn in range(N_LISTENED) for queue in queues if turn < len(queue))
    chosen = dict.fromkeys([*several[: N_LISTENED // 2], *turns])
    return [_heard(rows, row, reasons[row]) for row in [*chosen][:N_LISTENED]]


def _heard(rows: Rows, row: int, reasons: Sequence[str]) -> Heard:
    return Heard(
        rows.of("id")[row],
        rows.of("language")[row],
        SPLITS[rows.split[row]],
        rows.of("trained_text")[row],
        float(rows.levels["duration_s"][row]),
        float(rows.rms_db[row]),
        float(rows.characters_a_second[row]),
        rows.of("speaker")[row],
        reasons,
    )
