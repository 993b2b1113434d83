"""asr/experiments/paired.py: what one experiment hears better or worse than another."""

import dataclasses

import pytest

from asr import params
from asr.errors import UserError
from asr.experiments.experiment import Experiment
from asr.experiments.paired import changed, compare, join
from tests.repositories import heard, prediction

CHOICES = params.Evaluate(bootstrap_samples=200)


def experiment(name: str, n_wrong: int) -> Experiment:
    return Experiment(name, {}, {}, heard(n_wrong), [])


def test_fewer_wrong_words_are_told_with_the_interval_of_their_difference() -> None:
    pair = compare(experiment("slow", 20), experiment("fast", 4), CHOICES)
    assert (pair.name, pair.kind, pair.title) == ("fast", "better", "fast hears better than slow")
    assert (pair.scores["baseline"]["wer"], pair.scores["wer"]) == (0.1, 0.02)
    low, high = pair.scores["difference_interval"]
    assert low < -0.08 < high < 0
    assert pair.sentence == (
        f"Of 100 words, between {-100 * high:.1f} and {-100 * low:.1f} fewer are wrong than in slow."
    )


def test_the_same_in_the_other_direction_is_worse_by_as_much() -> None:
    there, back = (compare(experiment("a", one), experiment("b", other), CHOICES) for one, other in ((20, 4), (4, 20)))
    assert (there.kind, back.kind) == ("better", "worse")
    assert back.scores["difference_interval"] == pytest.approx(
        [-end for end in there.scores["difference_interval"][::-1]]
    )
    assert [one.prediction.id for one in there.improved] == [one.prediction.id for one in back.worsened]


def test_what_may_be_chance_is_said_to_be() -> None:
    pair = compare(experiment("a", 4), experiment("b", 5), CHOICES)
    assert (pair.kind, pair.title) == ("unclear", "No clear difference")
    assert "may be chance" in pair.sentence


def test_few_utterances_allow_no_verdict() -> None:
    one, other = (Experiment(name, {}, {}, heard(n)[:9], []) for name, n in (("a", 9), ("b", 0)))
    assert compare(one, other, CHOICES).title == "Too few to tell"


@pytest.mark.parametrize("change", ["fewer rows", "another text"])
def test_other_test_sets_are_refused(change: str) -> None:
    one, other = experiment("one", 4), experiment("other", 4)
    rows = list(other.predictions)
    rows[:1] = [] if change == "fewer rows" else [dataclasses.replace(rows[0], reference="another text")]
    with pytest.raises(UserError, match=r"one and other heard different test sets: 40 and (39|40).*39 of them in both"):
        join(one, dataclasses.replace(other, predictions=rows))


def test_the_utterances_that_changed_most_come_first_in_both_directions() -> None:
    rows = [
        prediction("gone", "red green blue", "red green blue", baseline="no no no"),
        prediction("little", "red green blue", "red green blue", baseline="red green no"),
        prediction("case", "red green blue", "Red, green blue!", baseline="red green blue"),
        prediction("worse", "red green blue", "red no blue", baseline="red green blue"),
    ]
    improved, worsened = changed(rows, 5)
    assert [(one.prediction.id, one.n_errors_before, one.n_errors, one.n_units) for one in improved] == [
        ("gone", 3, 0, 3),
        ("little", 1, 0, 3),
    ]
    assert [one.prediction.id for one in worsened] == ["worse"]
    assert [(piece.kind, piece.hypothesis) for piece in worsened[0].pieces] == [
        ("equal", "red"),
        ("substitute", "no"),
        ("equal", "blue"),
    ]
    assert [one.prediction.id for one in changed(rows, 1)[0]] == ["gone"]


def test_languages_without_spaces_are_counted_in_characters() -> None:
    (one,), _ = changed([prediction("ja", "犬が好き", "犬が好き", baseline="猫が好き", language="ja")], 5)
    assert (one.n_errors_before, one.n_units, one.unit, one.joint) == (1, 4, "characters", "")
