"""Utterances -> the same utterances with a split each, no speaker (or text) on both sides of a cut."""

import hashlib
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from typing import TypeAlias

from asr import params
from asr.utterances import Split, Utterance

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

Group: TypeAlias = tuple[str, ...]  # ("speaker", name) or ("text", language, normalised text); stays in one split


def split_named(name: str) -> Split | None:
    """The split that a corpus' own name means, in any case; None if it means none."""
    return SPLIT_NAMES.get(name.strip().casefold())


def normalised(text: str) -> str:
    """What texts share that differ in case, punctuation or spacing alone; combining marks stay."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    spoken = "".join(" " if unicodedata.category(char)[0] in "PS" else char for char in folded)
    return " ".join(spoken.split()) or " ".join(folded.split())


def cut(utterances: Iterable[Utterance], shares: params.Split, seed: int) -> list[Utterance]:
    """The utterances, in their order, with a split each.

    A split that the corpus names stays. The other rows follow their speaker (or text) where it has a named split, and
    are cut else, each language to `shares` of its utterances. If nothing is validation then, it is cut out of train.
    Groups are taken in the order of a seeded hash, so that an added row moves few others.
    """
    rows = _fill(list(utterances), shares, seed)
    if any(row.split == "validation" for row in rows):
        return rows
    train = [replace(row, split=None) for row in rows if row.split == "train"]
    again = iter(_fill(train, params.Split(validation=shares.validation, test=0), seed))
    return [next(again) if row.split == "train" else row for row in rows]


def leaks(utterances: Iterable[Utterance]) -> tuple[int, int]:
    """How many texts (of one language), and how many speakers, are in more than one split."""
    texts: dict[Group, set[Split | None]] = defaultdict(set)
    speakers: dict[str, set[Split | None]] = defaultdict(set)
    for row in utterances:
        texts[_text_group(row)].add(row.split)
        if row.speaker is not None:
            speakers[row.speaker].add(row.split)
    return sum(len(found) > 1 for found in texts.values()), sum(len(found) > 1 for found in speakers.values())


def _fill(rows: list[Utterance], shares: params.Split, seed: int) -> list[Utterance]:
    """The rows, with a split where there was none."""
    groups = _groups(rows)
    splits: dict[Group, Split] = {}
    for row, group in zip(rows, groups, strict=True):
        if row.split is not None:
            splits.setdefault(group, row.split)
    languages: dict[str, dict[Group, int]] = {}
    home: dict[Group, str] = {}  # a speaker of two languages is cut with the first
    for row, group in zip(rows, groups, strict=True):
        if group not in splits:
            sizes = languages.setdefault(home.setdefault(group, row.language), {})
            sizes[group] = sizes.get(group, 0) + 1
    for sizes in languages.values():
        splits |= _share_out(sizes, shares, seed)
    return [
        row if row.split is not None else replace(row, split=splits[group])
        for row, group in zip(rows, groups, strict=True)
    ]


def _groups(rows: list[Utterance]) -> list[Group]:
    """For each row, what must not be on both sides: its speaker, or its text where speakers are unknown or too few."""
    speakers = defaultdict(set)
    for row in rows:
        if row.speaker is not None:
            speakers[row.language].add(row.speaker)
    return [
        ("speaker", row.speaker)
        if row.speaker is not None and len(speakers[row.language]) >= MIN_GROUPS
        else _text_group(row)
        for row in rows
    ]


def _text_group(row: Utterance) -> Group:
    return "text", row.language, normalised(row.text)


def _share_out(sizes: dict[Group, int], shares: params.Split, seed: int) -> dict[Group, Split]:
    """A split for each group of one language, given the groups' utterances.

    Test is filled from one end of the hash order and validation from the other, so that a changed count moves groups
    between train and one of them only. A group that is too large for what is left of a share is passed over.
    """
    ordered = sorted(sizes, key=lambda group: _hash(seed, group))
    splits: dict[Group, Split] = dict.fromkeys(ordered, "train")
    if len(ordered) < MIN_GROUPS:
        return splits
    wanted: list[tuple[Split, float, list[Group]]] = [
        ("test", shares.test, ordered),
        ("validation", shares.validation, ordered[::-1]),
    ]
    for split, share, order in wanted:
        free = [group for group in order if splits[group] == "train"][:-1]  # one stays to train on
        room = max(1, round(share * sum(sizes.values()))) if share else 0
        chosen = _that_fit(free, sizes, room)
        if room and free and not chosen:
            chosen = [min(free, key=sizes.__getitem__)]
        splits |= dict.fromkeys(chosen, split)
    return splits


def _that_fit(groups: list[Group], sizes: dict[Group, int], room: int) -> list[Group]:
    chosen = []
    for group in groups:
        if sizes[group] <= room:
            chosen.append(group)
            room -= sizes[group]
    return chosen


def _hash(seed: int, group: Group) -> bytes:
    return hashlib.sha256("\0".join((str(seed), *group)).encode()).digest()
