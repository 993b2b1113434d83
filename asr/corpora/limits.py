"""Utterances of a mixture -> which of its train rows are over their corpus' `max_hours`.

Of each row are kept 14 bytes, and of none where no corpus is bounded.
"""

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from asr.utterances import SPLITS, Utterance

TRAIN = SPLITS.index("train")
UNBOUNDED = -1  # the number of what has no bound
UNPLACED = 0


class Limits:
    """Takes all rows, some at a time; those of a corpus without a bound, or without durations, are never over it."""

    def __init__(self, max_hours: Mapping[str, float | None], seed: int) -> None:
        self._max_s = [hours * 3600 for hours in max_hours.values() if hours is not None]
        bounded = [name for name, hours in max_hours.items() if hours is not None]
        self._numbers = {name: number for number, name in enumerate(bounded)}
        self._seed = seed
        self._parts: list[tuple[NDArray[np.int16], NDArray[np.uint64], NDArray[np.float32]]] = []

    def add(self, rows: Sequence[Utterance]) -> None:
        if not self._numbers:
            return
        numbers = [self._numbers.get(row.source or "", UNBOUNDED) for row in rows]
        durations_s = [np.nan if row.duration_s is None else row.duration_s for row in rows]
        places = [
            UNPLACED if number == UNBOUNDED else place(self._seed, row.id)
            for number, row in zip(numbers, rows, strict=True)
        ]
        columns = (np.array(numbers, np.int16), np.array(places, np.uint64), np.array(durations_s, np.float32))
        self._parts.append(columns)

    def over(self, splits: NDArray[np.int8]) -> NDArray[np.bool_]:
        """Of all rows, in their order; `splits` are their places in `SPLITS`."""
        over = np.zeros(len(splits), np.bool_)
        if not self._parts:
            return over
        numbers, places, durations_s = (np.concatenate(column) for column in zip(*self._parts, strict=True))
        for number, max_s in enumerate(self._max_s):
            rows = np.flatnonzero((numbers == number) & (splits == TRAIN))
            if len(rows) and not np.isnan(durations_s[rows]).any():
                over[rows] = beyond(durations_s[rows], places[rows], max_s)
        return over


def place(seed: int, name: str) -> int:
    """Where an utterance stands in the seeded order in which a corpus' hours are filled; 64 bits."""
    return int.from_bytes(hashlib.blake2b(f"{seed}\0{name}".encode(), digest_size=8).digest(), "little")


def beyond(durations_s: NDArray[np.floating], places: NDArray[np.uint64], max_s: float) -> NDArray[np.bool_]:
    """Which rows come after the first that, in the order of `places`, passes `max_s` with those before it."""
    order = np.argsort(places, kind="stable")
    found = np.empty(len(order), np.bool_)
    found[order] = np.cumsum(durations_s[order], dtype=np.float64) > max_s
    return found
