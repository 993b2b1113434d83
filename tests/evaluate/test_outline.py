"""asr/evaluate/outline.py: the table on the terminal, and what it warns of."""

import random
from dataclasses import replace
from typing import Any

import pytest

from asr.evaluate.outline import forgotten, outline
from asr.evaluate.predictions import Prediction
from asr.evaluate.scoring import metrics


def one(reference: str, hypothesis: str, language: str = "es", before: str = "") -> Prediction:
    return Prediction("a", language, None, reference, hypothesis, hypothesis, before)


def scores_of(rows: list[Prediction]) -> dict[str, Any]:
    return metrics(rows, bootstrap_samples=100, seed=1, sliced=False)


ROWS = [one("uno dos", "uno tres"), replace(one("ein", "ein", "de"), id="b"), replace(one("", "x", "th"), id="c")]


def test_there_is_a_row_a_language_and_one_over_all() -> None:
    lines = outline(scores_of(ROWS)).splitlines()
    assert [line.split()[0] for line in lines[1:-1]] == ["de", "es", "th", "all"]
    assert lines[2].split()[:4] == ["es", "1", "100.0%", "50.0%"]
    assert lines[3].split()[:5] == ["th", "1", "-", "-", "-"]
    assert len({len(line) for line in lines[1:-1]}) == 1


def test_a_further_test_set_has_a_row_however_long_its_name() -> None:
    name = "telephone-calls-of-2025"
    lines = outline({**scores_of(ROWS), "sets": {name: scores_of(ROWS[:1])}}).splitlines()
    assert lines[5].split()[:4] == [name, "1", "100.0%", "50.0%"]
    assert len({len(line) for line in lines[1:-1]}) == 1


def heard(share_wrong: float, share_wrong_before: float, language: str, n: int = 200) -> list[Prediction]:
    """One word (or character) an utterance, wrong in so many of them."""
    draw = random.Random(0)
    return [
        one("a", "ab"[draw.random() < share_wrong], language, "ab"[draw.random() < share_wrong_before])
        for _ in range(n)
    ]


@pytest.mark.parametrize(("language", "score"), [("de", "WER"), ("th", "CER")])
def test_a_set_that_is_heard_significantly_worse_is_warned_of(language: str, score: str) -> None:
    sets = {
        "worse": scores_of(heard(0.6, 0.2, language)),
        "as good": scores_of(heard(0.3, 0.3, language)),
        "better": scores_of(heard(0.1, 0.5, language)),
    }
    (line,) = forgotten({"sets": sets})
    assert line.startswith(f"worse: {score} rose from ")


def test_without_further_sets_nothing_is_forgotten() -> None:
    assert forgotten(scores_of(ROWS)) == []
