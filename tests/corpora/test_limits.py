"""asr/corpora/limits.py: a corpus is filled to its hours, in an order that others do not move."""

import numpy as np

from asr.corpora.limits import Limits, beyond, place
from asr.utterances import SPLITS, Utterance


def rows_of(n: int, source: str = "a", duration_s: float | None = 1.0) -> list[Utterance]:
    return [Utterance(f"{source}/{i}", "a.wav", "text", "en", source=source, duration_s=duration_s) for i in range(n)]


def over(rows: list[Utterance], hours: dict[str, float | None], split: str = "train") -> list[str]:
    limits = Limits(hours, seed=1)
    for first in range(0, len(rows), 7):
        limits.add(rows[first : first + 7])
    splits = np.full(len(rows), SPLITS.index(split), np.int8)
    return [row.id for row, is_over in zip(rows, limits.over(splits).tolist(), strict=True) if is_over]


def test_as_many_rows_as_fit_are_kept() -> None:
    assert len(over(rows_of(20), {"a": 5 / 3600})) == 15
    assert over(rows_of(20), {"a": 20 / 3600}) == []


def test_only_train_is_bounded() -> None:
    assert over(rows_of(20), {"a": 5 / 3600}, split="test") == []


def test_each_corpus_has_its_own_bound() -> None:
    found = over([*rows_of(20), *rows_of(20, "b"), *rows_of(20, "c")], {"a": 5 / 3600, "b": None, "c": 19 / 3600})
    assert sorted(name[0] for name in found) == ["a"] * 15 + ["c"]


def test_a_corpus_of_which_a_duration_is_unknown_is_not_bounded_yet() -> None:
    assert over([*rows_of(20), *rows_of(1, duration_s=None)], {"a": 5 / 3600}) == []


def test_an_added_row_moves_at_most_the_one_at_the_edge() -> None:
    rows = rows_of(50)
    before, after = ({*over(some, {"a": 10 / 3600})} for some in (rows[:49], rows))
    assert len(before - after) == 0 and len(after - before - {"a/49"}) <= 1


def test_the_order_is_seeded_and_does_not_follow_that_of_the_rows() -> None:
    assert place(1, "a") == place(1, "a") != place(2, "a")
    places = np.array([3, 1, 2], np.uint64)
    assert beyond(np.array([1.0, 1.0, 1.0]), places, 2.0).tolist() == [True, False, False]
