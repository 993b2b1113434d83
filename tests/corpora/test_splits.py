import random
from collections import Counter
from dataclasses import replace

import pytest

from asr.corpora.splits import Cut, Cutter, normalised, split_named
from asr.params import Split
from asr.utterances import SPLITS, Utterance

SHARES = Split(validation=0.1, test=0.2)


def utterance(n: int, **fields: object) -> Utterance:
    row = Utterance(id=f"u{n}", audio=f"{n}.wav", text=f"text {n}", language="en")
    return replace(row, **fields)  # type: ignore[arg-type]


def cutting(rows: list[Utterance], shares: Split, seed: int, rows_at_once: int = 1000) -> Cut:
    cutter = Cutter(seed)
    for first in range(0, len(rows), rows_at_once):
        cutter.add(rows[first : first + rows_at_once])
    return cutter.cut(shares)


def cut(rows: list[Utterance], shares: Split, seed: int) -> list[Utterance]:
    """The rows, with a split each."""
    splits = cutting(rows, shares, seed).splits.tolist()
    return [replace(row, split=SPLITS[split]) for row, split in zip(rows, splits, strict=True)]


def leaks(rows: list[Utterance]) -> tuple[int, int]:
    """Of rows that have a split each."""
    return cutting(rows, SHARES, seed=1).leaks()


def corpus(n: int, n_speakers: int = 0, language: str = "en") -> list[Utterance]:
    speaker = (lambda i: f"{language}{i % n_speakers}") if n_speakers else (lambda i: None)
    return [utterance(i, speaker=speaker(i), language=language) for i in range(n)]


def shares_of(rows: list[Utterance]) -> dict[str | None, float]:
    return {split: n / len(rows) for split, n in Counter(row.split for row in rows).items()}


@pytest.mark.parametrize(
    ("name", "split"), [("Dev", "validation"), (" training ", "train"), ("EVAL", "test"), ("invalidated", None)]
)
def test_the_usual_names_of_splits_are_read(name: str, split: str | None) -> None:
    assert split_named(name) == split


def test_texts_are_the_same_whatever_their_case_punctuation_and_spacing() -> None:
    assert normalised("A  cat.") == normalised("a cat") == "a cat"


def test_combining_marks_tell_texts_apart() -> None:
    assert normalised("कि") != normalised("का")


def test_a_text_of_symbols_alone_stays_itself() -> None:
    assert normalised("?!") == "?!"


def test_a_corpus_without_speakers_is_cut_to_its_shares_exactly() -> None:
    assert shares_of(cut(corpus(100), SHARES, seed=1)) == {"train": 0.7, "validation": 0.1, "test": 0.2}


def test_equal_texts_stay_on_one_side() -> None:
    rows = [utterance(i, text=("A text", "a text.")[i % 2] + f" {i % 40}") for i in range(200)]
    rows = cut(rows, SHARES, seed=1)
    assert leaks(rows) == (0, 0)
    assert {"train", "validation", "test"} == shares_of(rows).keys()


def test_speakers_stay_on_one_side_even_if_one_of_them_has_half_of_the_corpus() -> None:
    rows = [utterance(i, speaker="much" if i < 100 else f"s{i % 20}") for i in range(200)]
    rows = cut(rows, SHARES, seed=3)
    assert leaks(rows)[1] == 0
    assert shares_of(rows)["test"] == pytest.approx(0.2, abs=0.03)


def test_each_language_gets_its_share() -> None:
    rows = cut(corpus(300, 30, "de") + corpus(40, language="fr"), SHARES, seed=1)
    for language in ("de", "fr"):
        share = shares_of([row for row in rows if row.language == language])
        assert share["test"] == pytest.approx(0.2, abs=0.04)
        assert share["validation"] == pytest.approx(0.1, abs=0.04)


def test_two_speakers_are_too_few_so_the_text_decides() -> None:
    rows = cut(corpus(100, n_speakers=2), SHARES, seed=1)
    assert shares_of(rows) == {"train": 0.7, "validation": 0.1, "test": 0.2}
    assert leaks(rows) == (0, 2)


def test_two_texts_are_too_few_to_cut() -> None:
    assert shares_of(cut(corpus(2), SHARES, seed=1)) == {"train": 1.0}


def test_three_texts_give_each_split_one() -> None:
    assert {row.split for row in cut(corpus(3), SHARES, seed=1)} == {"train", "validation", "test"}


def test_the_splits_of_the_corpus_stay_and_validation_is_cut_out_of_train() -> None:
    rows = [utterance(i, split="test" if i % 4 == 0 else "train") for i in range(200)]
    after = cut(rows, SHARES, seed=1)
    assert [row.id for row in after if row.split == "test"] == [row.id for row in rows if row.split == "test"]
    assert Counter(row.split for row in after) == {"train": 135, "validation": 15, "test": 50}


def test_a_corpus_with_all_splits_is_left_alone() -> None:
    rows = [utterance(i, split=("train", "validation", "test")[i % 3]) for i in range(9)]
    assert cut(rows, SHARES, seed=1) == rows


def test_a_row_without_split_follows_its_speaker() -> None:
    named = [utterance(i, speaker=f"s{i}", split=("train", "validation", "test")[i % 3]) for i in range(9)]
    loose = [utterance(i + 9, speaker=f"s{i}") for i in range(9)]
    assert [row.split for row in cut(named + loose, SHARES, seed=1)[9:]] == [row.split for row in named]


def test_a_share_of_zero_gives_no_row() -> None:
    assert "test" not in shares_of(cut(corpus(50), Split(validation=0.1, test=0), seed=1))


def test_the_order_of_the_rows_does_not_matter_and_the_seed_does() -> None:
    rows = corpus(100, 25)
    shuffled = random.Random(5).sample(rows, len(rows))
    by_id = {row.id: row.split for row in cut(rows, SHARES, seed=1)}
    assert {row.id: row.split for row in cut(shuffled, SHARES, seed=1)} == by_id
    assert {row.id: row.split for row in cut(rows, SHARES, seed=2)} != by_id


def test_ten_rows_more_move_few_others() -> None:
    before = cut(corpus(500), SHARES, seed=1)
    after = cut(corpus(510), SHARES, seed=1)
    assert sum(a.split != b.split for a, b in zip(before, after, strict=False)) <= 10


def test_what_leaks_by_the_corpus_own_splits_is_counted() -> None:
    rows = [
        utterance(1, text="One.", speaker="a", split="train"),
        utterance(2, text="one", speaker="b", split="test"),
        utterance(3, text="Two", speaker="a", split="validation"),
        utterance(4, text="one", speaker="c", split="test", language="it"),
    ]
    assert leaks(rows) == (1, 1)
