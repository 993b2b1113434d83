"""Train rows, rules and what the base checkpoint heard -> a weight for each row: 0 for those that are set aside."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.corpora.limits import beyond, place
from asr.corpora.rejects import commonest
from asr.corpora.shares import Share, over_hours
from asr.errors import UserError
from asr.params import Clean
from asr.selection.filters import Row, disagreeing, judge, repeated
from asr.utterances import Rejected


@dataclass(frozen=True)
class Rules:
    """`suffixes` are those of the ids of copies; `shares` those of the mixture's corpora, by name."""

    clean: Clean = field(default_factory=Clean)
    rates: Mapping[str, float] = field(default_factory=dict)  # what `disagreeing` compares, by id
    max_rate: float = 1.0
    shares: Mapping[str, Share] = field(default_factory=dict)
    suffixes: Sequence[str] = ()
    seed: int = 1

    @property
    def keep_all(self) -> bool:
        """Whether they set nothing aside and weigh all alike, whatever the rows are."""
        return not (self.rates or self.shares) and self.clean == Clean()


@dataclass(frozen=True)
class Selection:
    """Of each row, in their order, its weight; why rows are set aside; and the hours that stay."""

    ids: list[str]
    weights: NDArray[np.float64]
    set_aside: list[Rejected]
    hours: float

    @property
    def n_kept(self) -> int:
        return int(np.count_nonzero(self.weights))

    @property
    def reasons(self) -> dict[str, int]:
        return dict(Counter(row.reason for row in self.set_aside).most_common())

    def __str__(self) -> str:
        if not self.set_aside:
            return f"train: all {len(self.ids):,} utterances, {self.hours:.2f} hours"
        return (
            f"train: {self.n_kept:,} of {len(self.ids):,} utterances, {self.hours:.2f} hours; "
            f"set aside: {commonest(self.reasons)}"
        )


def all_of(ids: list[str], durations_s: Sequence[float]) -> Selection:
    """Every row alike."""
    return Selection(ids, np.ones(len(ids)), [], sum(durations_s) / 3600)


def select(rows: Sequence[Row], rules: Rules) -> Selection:
    """Judges the utterances; their copies go with them. Raises `UserError` where none is left."""
    ids = {row.id for row in rows}
    originals = {row.id: _original(row.id, rules.suffixes) for row in rows}
    # Of a clip that is too long by itself, the faster copy is there alone.
    originals |= {copy: copy for copy, original in originals.items() if original not in ids}
    utterances = [row for row in rows if originals[row.id] == row.id]
    found = _judged(utterances, rules)
    set_aside = [
        Rejected(row.id, why.reason, why.detail) for row in rows if (why := found.get(originals[row.id])) is not None
    ]
    if rows and len(set_aside) == len(rows):
        reasons = commonest(dict(Counter(row.reason for row in set_aside).most_common()))
        raise UserError(
            f"all {len(rows):,} train rows are set aside: {reasons}; loosen data.clean, data.agreement or max_hours"
        )
    gone = {row.id for row in set_aside}
    weights = np.array([0.0 if row.id in gone else _weight(row, rules) for row in rows])
    seconds = sum(row.duration_s for row in rows if row.id not in gone)
    return Selection([row.id for row in rows], weights, set_aside, seconds / 3600)


def _judged(utterances: Sequence[Row], rules: Rules) -> dict[str, Rejected]:
    """Why, by id; a row has the first reason that applies."""
    found: dict[str, Rejected] = {}
    for row in utterances:
        if why := judge(row, rules.clean) or disagreeing(row, rules.rates, rules.max_rate):
            found[row.id] = why
    found |= repeated([row for row in utterances if row.id not in found], rules.clean, rules.seed)
    return found | _over_hours([row for row in utterances if row.id not in found], rules)


def _over_hours(utterances: Sequence[Row], rules: Rules) -> dict[str, Rejected]:
    found: dict[str, Rejected] = {}
    for name, share in rules.shares.items():
        if share.max_hours is None:
            continue
        rows = [row for row in utterances if row.source == name]
        durations_s = np.array([row.duration_s for row in rows])
        places = np.array([place(rules.seed, row.id) for row in rows], np.uint64)
        over = beyond(durations_s, places, share.max_hours * 3600)
        gone = [rows[row].id for row in np.flatnonzero(over)]
        found |= {row: over_hours(row, name, share.max_hours) for row in gone}
    return found


def _weight(row: Row, rules: Rules) -> float:
    share = rules.shares.get(row.source or "")
    return share.weight if share else 1.0


def _original(name: str, suffixes: Sequence[str]) -> str:
    """The id of the utterance that a row is a copy of, or its own."""
    return next((name.removesuffix(suffix) for suffix in suffixes if name.endswith(suffix)), name)


def rows_of(columns: Mapping[str, list[Any]]) -> list[Row]:
    """Columns as they are in the shards, a list each -> rows."""
    return [Row(*values) for values in zip(*(columns[name] for name in Row._fields), strict=True)]
