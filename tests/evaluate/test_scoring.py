"""asr/evaluate/scoring.py: error rates equal jiwer's, and intervals that hold what they promise."""

import json
import random
from dataclasses import replace
from pathlib import Path

import jiwer
import pyarrow.parquet as pq
import pytest

from asr.errors import UserError
from asr.evaluate.leaks import Leak, text_key
from asr.evaluate.normalize import normalize
from asr.evaluate.predictions import Prediction, write_predictions
from asr.evaluate.scoring import flat, metrics

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
        duration_s = draw.uniform(0.5, 25)
        rows.append(Prediction(f"clip {number}", language, speaker, reference, after, at_30s, before, duration_s))
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


def test_the_corpora_of_a_mixture_are_told_apart() -> None:
    rows = [replace(row, source=("old", "new")[number % 3 == 0]) for number, row in enumerate(predictions(90))]
    found = metrics(rows, bootstrap_samples=100, seed=1)["source"]
    assert [*found] == ["new", "old"]
    alone = metrics([replace(row, source=None) for row in rows[::3]], 100, 1, sliced=False)
    assert found["new"] | {"language": None} == alone | {"language": None}
    assert {code: scores["wer"] for code, scores in found["new"]["language"].items()} == {
        code: scores["wer"] for code, scores in alone["language"].items()
    }
    assert "source" not in metrics(predictions(30), bootstrap_samples=100, seed=1)


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


def test_speakers_are_resampled_where_at_least_five_are_known() -> None:
    assert metrics(predictions(100, n_speakers=20), 100, 1)["interval_unit"] == "speaker"
    assert metrics(predictions(100, n_speakers=4), 100, 1)["interval_unit"] == "utterance"
    assert metrics(predictions(100), 100, 1)["interval_unit"] == "utterance"


def test_flat_numbers_have_dotted_names_and_leave_out_what_is_unknown() -> None:
    scores = {"wer": 0.2, "wer_interval": [0.1, 0.3], "cer": None, "interval_unit": "speaker"}
    found = flat({**scores, "language": {"es": {"baseline": {"wer": 0.5}}}})
    assert found == {
        "wer": 0.2,
        "wer_interval.low": 0.1,
        "wer_interval.high": 0.3,
        "language.es.baseline.wer": 0.5,
    }


def test_a_further_test_set_has_rates_and_no_slices() -> None:
    whole, bare = (metrics(predictions(40), 100, 1, sliced=sliced) for sliced in (True, False))
    assert bare == {name: value for name, value in whole.items() if name not in ("duration_s", "confusions")}


def test_jiwer_alone_finds_the_same_rates_in_the_written_predictions(tmp_path: Path) -> None:
    rows = predictions(300, n_speakers=4)
    write_predictions(rows, tmp_path)
    written = pq.read_table(tmp_path / "predictions.parquet").to_pylist()
    scores = json.loads(json.dumps(metrics(rows, 10, 1), allow_nan=False))
    worst = scores["speaker"]["worst"][0]
    for part, belongs in (
        (scores, lambda row: True),
        (scores["language"]["hi"], lambda row: row["language"] == "hi"),
        (scores["duration_s"]["5_to_10"], lambda row: 5 <= row["duration_s"] < 10),
        (worst, lambda row: row["speaker"] == worst["speaker"]),
    ):
        chosen = [row for row in written if belongs(row)]
        assert 0 < len(chosen) == part["n_utterances"]
        for rates, column in ((part, "hypothesis"), (part["baseline"], "baseline")):
            texts = [row["reference"] for row in chosen], [row[column] for row in chosen]
            assert (rates["wer"], rates["cer"]) == (jiwer.wer(*texts), jiwer.cer(*texts))


def test_slices_of_durations_and_of_texts_hold_every_utterance_once() -> None:
    rows = predictions(200)
    leak = Leak(frozenset(text_key(row.language, row.reference) for row in rows[:50]), frozenset())
    scores = metrics(rows, 10, 1, leak=leak)
    for slices in (scores["duration_s"], scores["text"]):
        assert len(slices) > 1
        for name in ("n_utterances", "n_words"):
            assert sum(part[name] for part in slices.values()) == scores[name]
    assert 50 <= scores["text"]["seen"]["n_utterances"] < 200


def test_what_is_unknown_has_no_slices() -> None:
    scores = metrics([one("hola", "hola")], 10, 1)
    assert scores["duration_s"] == {}
    assert not {"speaker", "text", "leak"} & scores.keys()


def test_a_leak_is_told_as_numbers() -> None:
    rows = [replace(one(text, text), speaker=speaker) for text, speaker in (("a", "x"), ("A!", "x"), ("b", "y"))]
    leak = Leak(frozenset([text_key("es", "a")]), frozenset("y"))
    assert metrics(rows, 10, 1, leak=leak)["leak"] == {
        "n_texts": 2,
        "n_texts_in_train": 1,
        "n_speakers": 2,
        "n_speakers_in_train": 1,
    }


def test_speakers_are_ranked_by_characters_where_words_are_not_set_apart() -> None:
    text = "สวัสดี" * 20
    rows = [
        replace(one(text, text[:-n_missing], "th"), speaker=f"lost {n_missing}", id=str(n_missing))
        for n_missing in (1, 9, 5)
    ]
    scores = metrics(rows, 10, 1)
    assert [part["speaker"] for part in scores["speaker"]["worst"]] == ["lost 9", "lost 5"]
    assert [part["speaker"] for part in scores["speaker"]["best"]] == ["lost 1"]


def test_shares_of_failures_are_told_before_and_after() -> None:
    rows = [
        Prediction("a", "es", None, "¡Hola!", "hola", "...", ""),
        Prediction("b", "es", None, "adiós", "adiós " * 9, "adiós", "?"),
    ]
    scores = metrics(rows, 10, 1)
    for part, empty, looping in ((scores, 0, 0.5), (scores["window_30s"], 0.5, 0), (scores["baseline"], 1, 0)):
        assert (part["empty_share"], part["looping_share"], part["overlong_share"]) == (empty, looping, looping)


def test_confusions_are_of_normalised_words_and_not_sent_as_numbers() -> None:
    scores = metrics([one("La casa, roja", "la cosa ROJA"), one("Casa", "cosa")], 10, 1)
    assert [(pair["reference"], pair["heard"], pair["n"]) for pair in scores["confusions"]] == [("casa", "cosa", 2)]
    assert not [name for name in flat(scores) if "confusions" in name]


@pytest.mark.parametrize("language", ["en", "es"])
@pytest.mark.parametrize("loop", ["thank you. ", "1", "( ", "."])
def test_a_loop_of_a_hundred_thousand_words_is_scored(language: str, loop: str) -> None:
    rows = [one("Gracias a todos", loop * 100_000, language), one("hola", "hola", language)]
    scores = metrics(rows, 10, 1)
    assert scores["looping_share"] == (0.5 if normalize(loop, language) else 0)
    json.dumps(scores, allow_nan=False)


def test_a_language_that_nobody_knows_is_scored_as_any_other() -> None:
    scores = metrics([one("hola", "hola", "xx"), one("hola", "ola", "")], 10, 1)
    assert {name: part["wer"] for name, part in scores["language"].items()} == {"": 1, "xx": 0}
