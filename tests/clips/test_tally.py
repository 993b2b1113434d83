import json
import random
from itertools import pairwise

import numpy as np
import pytest

from asr.clips.tally import Spoken, Tally, languages_by_hours, outside_alphabet, summary_lines, total, visible
from tests.builders import example


def tally_of(*rows):
    tally = Tally()
    for row in rows:
        tally.add(row)
    return tally


def said(text, language="es", duration_s=1.0):
    return tally_of(example(text, duration_s, trained_text=text, language=language))


ROWS = [
    example("one", 0.5, [1, 2, 3], trained_text="Él.", language="es"),
    example("two", 1.25, [1, 2, 3, 4, 5], trained_text="Ella", language="es", clipped_share=0.01),
    example("three", 1.49, [1, 2], trained_text="Go", language="en", clipped_share=0.0005),
]


def test_a_tally_counts_what_the_rows_hold():
    tally = tally_of(*ROWS)
    assert tally.languages == {"es": Spoken(2, 28_000), "en": Spoken(1, 23_840)}
    assert tally.durations == {1: 1, 2: 2}
    assert tally.characters == {"É": 1, "l": 3, ".": 1, "E": 1, "a": 1, "G": 1, "o": 1}
    assert (tally.labels, tally.max_labels, tally.clipped) == (10, 5, 1)
    assert tally.frames == sum(row["log_mel"].shape[1] for row in ROWS)
    assert tally.rows == 3
    assert tally.hours == pytest.approx((0.5 + 1.25 + 1.49) / 3600)


def test_an_empty_tally_is_nothing_and_adds_nothing():
    assert total([]) == Tally()
    assert total([Tally(), tally_of(*ROWS), Tally()]) == tally_of(*ROWS)
    assert (Tally().rows, Tally().hours) == (0, 0)


def test_the_whole_does_not_depend_on_how_rows_were_dealt():
    rows = [example(str(n), n / 7 + 0.1, trained_text=f"Texto {n}", language=("es", "en")[n % 2]) for n in range(24)]
    whole = json.dumps(tally_of(*rows).to_json())
    for seed in range(5):
        random.Random(seed).shuffle(rows)
        cuts = (0, 1 + seed, 9, 9, 24)
        parts = [tally_of(*rows[a:b]) for a, b in pairwise(cuts)]
        assert json.dumps(total(parts).to_json()) == whole


def test_what_goes_through_json_comes_back():
    tally = tally_of(*ROWS)
    read = Tally.from_json(json.loads(json.dumps(tally.to_json())))
    assert read == tally
    read += tally  # counters again, not plain dicts
    assert read.characters["l"] == 6


def test_characters_that_train_lacks_are_named_by_split_commonest_first():
    splits = {"train": said("a b"), "validation": said("b a"), "test": said("añ ñ\u0301")}
    assert outside_alphabet(splits) == {"test": {"ñ": 2, "\u0301": 1}}


def test_without_a_train_split_every_character_is_new():
    assert outside_alphabet({"test": said("a a")}) == {"test": {"a": 2}}


def test_the_measures_of_numpy_become_plain_numbers():
    row = example("a", clipped_share=np.float64(0.5)) | {"duration_s": np.float64(1.25)}
    assert json.loads(json.dumps(tally_of(row).to_json())) == tally_of(row).to_json()


def test_languages_stand_in_the_order_of_their_hours():
    splits = {"train": total([said("a", "es"), said("b", "en", 3)]), "test": said("c", "es", 2.5)}
    assert languages_by_hours(splits) == ["es", "en"]


def test_the_summary_says_all_of_it():
    splits = {
        "train": total([said("a", "es", 18), said("b", "haw", 45)]),
        "validation": Tally(),
        "test": said("ä", duration_s=30),
    }
    assert summary_lines(splits, {"silent": 2, "too long": 1234}) == [
        "                          train                   test",
        "Spanish          1      0.3 min         1      0.5 min",
        "Hawaiian         1      0.8 min         0      0.0 min",
        "all              2      1.1 min         1      0.5 min",
        "rejected: 1,234 too long, 2 silent",
        "characters of test that no text of train has: ä (1)",
    ]


def test_the_summary_of_one_language_has_no_line_for_all():
    assert len(summary_lines({"train": said("a")}, {})) == 2


def test_many_languages_and_characters_stay_readable():
    many = total(said("a", f"x{n}", 1 + n / 10) for n in range(40))
    foreign = said("".join(map(chr, range(0x4E00, 0x4E00 + 500))))
    lines = summary_lines({"train": many, "test": foreign}, {})
    assert [line.split()[0] for line in lines[1:3]] == ["X39", "X38"]
    assert lines[21].startswith("21 others")
    assert lines[-1].endswith(" and 460 more")
    assert all(len(line) < 500 for line in lines)


def test_marks_and_shapeless_characters_can_be_seen():
    assert [visible(c) for c in ("a", "\u0301", "\u200d")] == ["a", "◌\u0301", "U+200D"]
