"""asr/evaluate/edits.py: the edits of each utterance add up to jiwer's."""

import jiwer
from hypothesis import given
from hypothesis import strategies as st

from asr.evaluate.edits import edits


def test_an_utterance_has_substitutions_insertions_deletions_and_words():
    assert edits(["a b c", "d e"], ["a x c y", "e"]).tolist() == [[1, 1, 0, 3], [0, 0, 1, 2]]


def test_no_utterances_have_no_edits():
    assert edits([], []).shape == (0, 4)


@given(st.lists(st.tuples(st.text(), st.text()), min_size=1, max_size=8))
def test_edits_of_any_text_add_up_to_jiwer(pairs):
    references, hypotheses = ([pair[side] for pair in pairs] for side in (0, 1))
    for characters, process in ((False, jiwer.process_words), (True, jiwer.process_characters)):
        expected = process(references, hypotheses)
        table = edits(references, hypotheses, characters)
        assert table.shape == (len(pairs), 4)
        n_edits = [expected.substitutions, expected.insertions, expected.deletions]
        assert table.sum(axis=0)[:3].tolist() == n_edits
        assert table[:, 3].sum() == expected.hits + expected.substitutions + expected.deletions
