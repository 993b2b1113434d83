"""asr/evaluate/slices.py: every row in the groups it belongs to."""

import numpy as np

from asr.evaluate.leaks import Leak, text_key
from asr.evaluate.predictions import Prediction
from asr.evaluate.slices import by_duration, by_language, by_source, by_speaker, by_text, ends


def rows(**columns):
    """Predictions with some columns, and the same in the others."""
    same = {"id": "a", "language": "es", "speaker": None, "reference": "hola"}
    same |= dict.fromkeys(("hypothesis", "hypothesis_30s", "baseline"), "")
    n = len(next(iter(columns.values())))
    return [Prediction(**same | {name: values[row] for name, values in columns.items()}) for row in range(n)]


def listed(groups):
    return {name: chosen.tolist() for name, chosen in groups.items()}


def test_a_clip_of_an_edge_s_length_belongs_above_it():
    found = by_duration(rows(duration_s=[0.0, 1.99, 2.0, 5.0, 9.9, 30.0, 20.0, None]))
    assert listed(found) == {"under_2": [0, 1], "2_to_5": [2], "5_to_10": [3, 4], "from_20": [5, 6]}


def test_clips_of_unknown_length_are_in_no_group_of_durations():
    assert by_duration(rows(duration_s=[None, None])) == {}


def test_the_rows_of_a_language_are_those_of_the_chosen_that_are_in_it():
    found = by_language(rows(language=["es", "hi", "es", "es"]), np.array([0, 1, 3]))
    assert listed(found) == {"es": [0, 3], "hi": [1]}


def test_corpora_come_by_name_and_one_alone_is_none():
    assert [*by_source(rows(source=["b", "a", "b", None]))] == ["a", "b"]
    assert listed(by_source(rows(source=["b", "a", "b", None]))) == {"a": [1], "b": [0, 2]}
    assert by_source(rows(source=[None, None])) == {}


def test_texts_are_seen_or_unseen_whatever_their_writing():
    leak = Leak(frozenset([text_key("es", "hola")]), frozenset())
    predictions = rows(reference=["¡Hola!", "adiós", "hola", "hola"], language=["es", "es", "es", "de"])
    assert listed(by_text(predictions, leak)) == {"seen": [0, 2], "unseen": [1, 3]}
    assert listed(by_text(predictions[1:2], leak)) == {"unseen": [0]}


def test_a_speaker_has_all_rows_of_that_name():
    assert listed(by_speaker(rows(speaker=["a", None, "b", "a"]))) == {"a": [0, 3], "b": [2]}


def speakers(errors, n_words):
    table = np.zeros((len(errors), 4))
    table[:, 0], table[:, 3] = errors, n_words
    return {f"s{number:02d}": np.array([number]) for number in range(len(errors))}, table


def test_the_worst_and_best_speakers_are_told_and_those_of_few_words_left_out():
    assert ends(*speakers([5, 90, 50, 0, 70, *range(20, 30)], [200, 99, *[100] * 13])) == (
        ["s04", "s02", "s14", "s13", "s12"],
        ["s03", "s00", "s05", "s06", "s07"],
        14,
    )


def test_no_speaker_is_at_both_ends():
    for n in range(12):
        worst, best, n_compared = ends(*speakers(list(range(n)), 100))
        assert len(set(worst + best)) == len(worst) + len(best) == min(n, 10)
        assert n_compared == n
