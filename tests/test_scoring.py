"""asr/scoring.py: error rates equal jiwer's, and intervals that hold what they promise."""

import json
import random
from dataclasses import replace

import jiwer
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.edits import edits
from asr.errors import UserError
from asr.normalize import normalize
from asr.predictions import Prediction
from asr.scoring import flat, metrics, outline

WORDS = ["casa", "perro", "¡Hola!", "mundo", "rojo", "verde", "azul", "el", "la", "नमस्ते", "दुनिया", "हिन्दी"]


def predictions(n: int, n_speakers: int | None = None, seed: int = 0, wrong: float = 0.1) -> list[Prediction]:
    """`n` utterances in es and hi; a word goes wrong with the probability `wrong`, before training 0.5."""
    draw = random.Random(seed)

    def heard(text: str, share: float) -> str:
        return " ".join(word if draw.random() > share else draw.choice(WORDS) for word in text.split())

    rows = []
    for number in range(n):
        reference = " ".join(draw.choices(WORDS, k=draw.randint(1, 9)))
        speaker = None if n_speakers is None else f"speaker {draw.randrange(n_speakers)}"
        language = ("es", "hi")[number % 2]
        after, at_30s, before = heard(reference, wrong), heard(reference, wrong), heard(reference, 0.5)
        rows.append(Prediction(f"clip {number}", language, speaker, reference, after, at_30s, before))
    return rows


def one(reference: str, hypothesis: str, language: str = "es") -> Prediction:
    return Prediction("a", language, None, reference, hypothesis, hypothesis, "")


def test_rates_equal_jiwer_overall_and_for_each_language() -> None:
    rows = predictions(200)
    result = metrics(rows, bootstrap_samples=100, seed=1)
    for scores, chosen in [(result, rows)] + [
        (result["language"][language], [row for row in rows if row.language == language]) for language in ("es", "hi")
    ]:
        references = [row.reference for row in chosen]
        for part, texts in (
            (scores, [row.hypothesis for row in chosen]),
            (scores["window_30s"], [row.hypothesis_30s for row in chosen]),
            (scores["baseline"], [row.baseline for row in chosen]),
        ):
            normalized = [[normalize(text, "es") for text in column] for column in (references, texts)]
            assert part["wer"] == jiwer.wer(references, texts)
            assert part["cer"] == jiwer.cer(references, texts)
            assert part["wer_normalized"] == jiwer.wer(*normalized)
            errors = part["substitutions"] + part["insertions"] + part["deletions"]
            assert errors / part["n_words"] == part["wer"]
            assert part["n_utterances"] == len(chosen)


def test_an_example_by_hand() -> None:
    result = metrics([one("El perro, come", "el perro come mucho")], bootstrap_samples=100, seed=1)
    assert (result["substitutions"], result["insertions"], result["deletions"]) == (2, 1, 0)
    assert result["wer"] == pytest.approx(3 / 3)
    assert result["wer_normalized"] == pytest.approx(1 / 3)
    assert result["baseline"]["wer"] == 1.0  # heard nothing: every word is deleted
    assert result["wer_interval"] == [1.0, 1.0]  # one utterance can only be drawn again


def test_no_utterances_have_no_edits() -> None:
    assert edits([], []).shape == (0, 4)


@given(st.lists(st.tuples(st.text(), st.text()), min_size=1, max_size=8))
def test_edits_of_any_text_add_up_to_jiwer(pairs: list[tuple[str, str]]) -> None:
    references, hypotheses = ([pair[side] for pair in pairs] for side in (0, 1))
    for characters, process in ((False, jiwer.process_words), (True, jiwer.process_characters)):
        expected = process(references, hypotheses)
        table = edits(references, hypotheses, characters)
        assert table.shape == (len(pairs), 4)
        n_edits = [expected.substitutions, expected.insertions, expected.deletions]
        assert table.sum(axis=0)[:3].tolist() == n_edits
        assert table[:, 3].sum() == expected.hits + expected.substitutions + expected.deletions


def test_a_reference_that_normalises_to_nothing_is_counted_and_left_out() -> None:
    result = metrics([one("¡!", "ruido"), one("hola", "hola")], bootstrap_samples=100, seed=1)
    assert result["n_empty_normalized"] == 1
    assert result["wer_normalized"] == 0.0
    assert result["wer"] == 0.5


def test_a_language_without_words_has_no_rate_and_the_json_no_nan() -> None:
    result = metrics([one("?", "", "en"), one("", "ruido", "de"), one("hola", "hola")], 100, 1)
    assert result["language"]["en"]["wer_normalized"] is None
    assert result["language"]["de"]["wer"] is None
    assert result["language"]["de"]["wer_interval"] is None
    json.dumps(result, allow_nan=False)


def test_nothing_to_score_is_told_in_a_line() -> None:
    with pytest.raises(UserError, match="the test split is empty"):
        metrics([], 100, 1)
    with pytest.raises(UserError, match="none of the 1 test utterances has a word"):
        metrics([one(" ", "hola")], 100, 1)


def test_intervals_hold_the_rate_repeat_with_the_seed_and_differ_with_another() -> None:
    rows = predictions(300)
    first, again, other = (metrics(rows, 200, seed) for seed in (1, 1, 2))
    assert first == again
    assert first["wer_interval"] != other["wer_interval"]
    for name in ("wer", "cer", "wer_normalized"):
        low, high = first[f"{name}_interval"]
        assert low < first[name] < high
    low, high = first["difference_interval"]
    assert low < first["wer"] - first["baseline"]["wer"] < high < 0


def test_the_difference_of_equal_systems_is_exactly_zero() -> None:
    rows = [replace(row, baseline=row.hypothesis) for row in predictions(50)]
    assert metrics(rows, 100, 1)["difference_interval"] == [0.0, 0.0]


def test_the_interval_is_close_to_the_exact_one_of_a_proportion() -> None:
    rows = [one("hola", "hola" if number % 5 else "adiós") for number in range(500)]
    half_width = 1.96 * np.sqrt(0.2 * 0.8 / 500)
    assert metrics(rows, 2000, 1)["wer_interval"] == pytest.approx([0.2 - half_width, 0.2 + half_width], abs=0.004)


def test_speakers_are_resampled_where_at_least_five_are_known() -> None:
    assert metrics(predictions(100, n_speakers=20), 100, 1)["interval_unit"] == "speaker"
    assert metrics(predictions(100, n_speakers=4), 100, 1)["interval_unit"] == "utterance"
    assert metrics(predictions(100), 100, 1)["interval_unit"] == "utterance"


def test_voices_that_differ_widen_the_interval() -> None:
    rows = [
        replace(one("hola mundo", "hola mundo" if number % 6 else "nada"), speaker=f"speaker {number % 6}")
        for number in range(120)
    ]
    wide = metrics(rows, 500, 1)["wer_interval"]
    narrow = metrics([replace(row, speaker=None) for row in rows], 500, 1)["wer_interval"]
    assert wide[1] - wide[0] > 2 * (narrow[1] - narrow[0])


def test_flat_numbers_have_dotted_names_and_leave_out_what_is_unknown() -> None:
    scores = {"wer": 0.2, "wer_interval": [0.1, 0.3], "cer": None, "interval_unit": "speaker"}
    found = flat({**scores, "language": {"es": {"baseline": {"wer": 0.5}}}})
    assert found == {
        "wer": 0.2,
        "wer_interval.low": 0.1,
        "wer_interval.high": 0.3,
        "language.es.baseline.wer": 0.5,
    }


def test_the_outline_has_a_row_a_language_and_one_over_all() -> None:
    rows = [one("uno dos", "uno tres"), replace(one("ein", "ein", "de"), id="b"), replace(one("", "x", "th"), id="c")]
    lines = outline(metrics(rows, bootstrap_samples=100, seed=1)).splitlines()
    assert [line.split()[0] for line in lines[1:-1]] == ["de", "es", "th", "all"]
    assert lines[2].split()[:4] == ["es", "1", "100.0%", "50.0%"]
    assert lines[3].split()[:5] == ["th", "1", "-", "-", "-"]
    assert len({len(line) for line in lines[1:-1]}) == 1
