"""Utterances -> a split for each, no speaker (or text) on both sides of a cut.

Of each are kept 19 bytes, whatever its text: speakers and texts are told apart by 64 bits of a hash.
"""

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from asr import params
from asr.utterances import SPLITS, Split, Utterance

# A corpus' own spellings -> ours.
SPLIT_NAMES: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "validate": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "devel": "validation",
    "development": "validation",
    "test": "test",
    "testing": "test",
    "eval": "test",
    "evaluation": "test",
}

MIN_GROUPS = 3  # one for each split: with fewer speakers a language is cut by text, with fewer texts it is all train
TRAIN, VALIDATION, TEST = (SPLITS.index(name) for name in ("train", "validation", "test"))
UNKNOWN = -1  # a split that is to be cut
NOBODY = 0  # the hash of a speaker who is not known

Hashes: TypeAlias = NDArray[np.uint64]
Numbers: TypeAlias = NDArray[np.int8]  # places in SPLITS, or UNKNOWN


class Home(NamedTuple):
    """What is cut by itself: the rows of a language, in a mixture those of one corpus."""

    source: str | None
    language: str

    def __str__(self) -> str:
        return f"{self.source} {self.language}" if self.source else self.language


class Keys(NamedTuple):
    """What decides the splits of rows, in their order."""

    text: Hashes  # of language and normalised text
    speaker: Hashes
    home: NDArray[np.int16]  # number of a `Home`
    split: Numbers

    def uncut(self, chosen: NDArray[np.bool_]) -> "Keys":
        """Those of the chosen rows, without their splits."""
        uncut = np.full(np.count_nonzero(chosen), UNKNOWN, np.int8)
        return Keys(self.text[chosen], self.speaker[chosen], self.home[chosen], uncut)


class Cutter:
    """Takes all rows of a corpus, some at a time, and cuts its splits then."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._parts: list[Keys] = []
        self._homes: dict[Home, int] = {}

    def add(self, rows: Sequence[Utterance]) -> None:
        texts = [self._hash("text", row.language, normalised(row.text)) for row in rows]
        speakers = [NOBODY if row.speaker is None else self._hash("speaker", row.speaker) for row in rows]
        homes = [self._homes.setdefault(Home(row.source, row.language), len(self._homes)) for row in rows]
        splits = [UNKNOWN if row.split is None else SPLITS.index(row.split) for row in rows]
        self._parts.append(
            Keys(
                np.array(texts, np.uint64),
                np.array(speakers, np.uint64),
                np.array(homes, np.int16),
                np.array(splits, np.int8),
            )
        )

    def cut(self, shares: params.Split) -> "Cut":
        """A split that the corpus names stays. The other rows follow their speaker (or text) where it has a named
        split, and are cut else, each language of a corpus to `shares` of its utterances. If nothing is validation
        then, it is cut out of train. Groups are taken in the order of a seeded hash, so that an added row moves few
        others.
        """
        keys = Keys(*(np.concatenate(column) for column in zip(*self._parts, strict=True)))
        splits = _fill(keys, shares)
        if not (splits == VALIDATION).any():
            train = splits == TRAIN
            splits[train] = _fill(keys.uncut(train), params.Split(validation=shares.validation, test=0))
        return Cut(splits, keys, list(self._homes))

    def _hash(self, *group: str) -> int:
        digest = hashlib.sha256("\0".join((str(self._seed), *group)).encode()).digest()
        return int.from_bytes(digest[:8], "big")


class Cut(NamedTuple):
    """The splits of all rows, in their order, and what they were cut by."""

    splits: Numbers
    keys: Keys
    homes: list[Home]

    def without(self, rows: NDArray[np.bool_]) -> "Cut":
        text, speaker, home, split = self.keys
        return Cut(self.splits[~rows], Keys(text[~rows], speaker[~rows], home[~rows], split[~rows]), self.homes)

    def counts(self) -> Counter[tuple[Home, str]]:
        """(home, split) -> rows."""
        counts = np.bincount(self.keys.home * len(SPLITS) + self.splits)
        names = [(home, split) for home in self.homes for split in SPLITS]
        return Counter({name: count for name, count in zip(names, counts.tolist(), strict=False) if count})

    def leaks(self) -> tuple[int, int]:
        """How many texts (of one language), and how many speakers, are in more than one split."""
        known = self.keys.speaker != NOBODY
        return _n_shared(self.keys.text, self.splits), _n_shared(self.keys.speaker[known], self.splits[known])


def split_named(name: str) -> Split | None:
    """The split that a corpus' own name means, in any case; None if it means none."""
    return SPLIT_NAMES.get(name.strip().casefold())


def normalised(text: str) -> str:
    """What texts share that differ in case, punctuation or spacing alone; combining marks stay."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(folded.translate(_SPOKEN).split()) or " ".join(folded.split())


class _Spoken(dict[int, int]):
    """For `str.translate`: punctuation and symbols -> a space, others -> themselves; learnt as they come."""

    def __missing__(self, code: int) -> int:
        self[code] = ord(" ") if unicodedata.category(chr(code))[0] in "PS" else code
        return self[code]


_SPOKEN = _Spoken()


def _fill(keys: Keys, shares: params.Split) -> Numbers:
    """The splits, with one where there was none."""
    # Sorted by the hash, in whose order groups are taken.
    _, first, group = np.unique(_groups(keys), return_index=True, return_inverse=True)
    sizes = np.bincount(group)
    splits = np.full(len(sizes), UNKNOWN, np.int8)
    named = np.flatnonzero(keys.split != UNKNOWN)[::-1]
    splits[group[named]] = keys.split[named]  # of a group's named rows the first one counts, which comes last here
    home = keys.home[first]  # a speaker of two languages is cut with the first
    for number in np.unique(home):
        members = np.flatnonzero((home == number) & (splits == UNKNOWN))
        splits[members] = _share_out(sizes[members], shares)
    return np.where(keys.split != UNKNOWN, keys.split, splits[group])


def _groups(keys: Keys) -> Hashes:
    """For each row, what must not be on both sides: its speaker, or its text where speakers are unknown or too few."""
    by_speaker = np.zeros(len(keys.text), np.bool_)
    for number in np.unique(keys.home):
        rows = (keys.home == number) & (keys.speaker != NOBODY)
        if len(np.unique(keys.speaker[rows])) >= MIN_GROUPS:
            by_speaker |= rows
    return np.where(by_speaker, keys.speaker, keys.text)


def _share_out(sizes: NDArray[np.int64], shares: params.Split) -> Numbers:
    """A split for each group of one language, given the groups' utterances in the order of the hash.

    Test is filled from one end of the order and validation from the other, so that a changed count moves groups
    between train and one of them only. A group that is too large for what is left of a share is passed over.
    """
    splits = np.full(len(sizes), TRAIN, np.int8)
    if len(sizes) < MIN_GROUPS:
        return splits
    forwards = np.arange(len(sizes))
    for split, share, order in ((TEST, shares.test, forwards), (VALIDATION, shares.validation, forwards[::-1])):
        free = order[splits[order] == TRAIN][:-1]  # one stays to train on
        room = max(1, round(share * int(sizes.sum()))) if share else 0
        chosen = free[_that_fit(sizes[free], room)]
        if room and len(free) and not len(chosen):
            chosen = free[[np.argmin(sizes[free])]]
        splits[chosen] = split
    return splits


def _that_fit(sizes: NDArray[np.int64], room: int) -> list[int]:
    """The places of those that fit into what their predecessors leave."""
    chosen = []
    for place, size in enumerate(sizes.tolist()):
        if size <= room:
            chosen.append(place)
            room -= size
        if not room:
            break
    return chosen


def _n_shared(hashes: Hashes, splits: Numbers) -> int:
    """How many of the hashes are in more than one split."""
    distinct, place = np.unique(hashes, return_inverse=True)
    is_in = np.zeros((len(SPLITS), len(distinct)), np.bool_)
    is_in[splits, place] = True
    return int(np.count_nonzero(is_in.sum(axis=0) > 1))
