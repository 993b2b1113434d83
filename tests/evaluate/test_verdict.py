"""asr/evaluate/verdict.py: what intervals allow to say, and the warnings."""

from typing import Any

import pytest

from asr.evaluate.verdict import headline, kind, verdict, warnings


def group(n_utterances: int = 100, **intervals: Any) -> dict[str, Any]:
    """Scores of a language that got better, but for what `intervals` says."""
    scores = {"wer": 0.5, "cer": 0.2, "n_utterances": n_utterances, "baseline": {"wer": 0.7, "cer": 0.3}}
    return {**scores, "difference_interval": [-0.3, -0.1], "difference_cer_interval": [-0.2, -0.1], **intervals}


@pytest.mark.parametrize(
    ("interval", "n_utterances", "kind", "part"),
    [
        ([-0.5, -0.25], 100, "better", "between 25.0 and 50.0 fewer"),
        ([0.1, 0.2], 100, "worse", "between 10.0 and 20.0 more"),
        ([-0.1, 0.0], 100, "unclear", "may be chance"),
        ([-0.5, -0.25], 29, "unclear", "29 utterances"),
        (None, 100, "unclear", "no verdict"),
    ],
)
def test_the_verdict_is_what_the_interval_allows(
    interval: list[float] | None, n_utterances: int, kind: str, part: str
) -> None:
    scores = group(n_utterances, difference_interval=interval, difference_normalized_interval=[-0.4, -0.2])
    found = verdict(scores, "wer")
    assert found.kind == kind
    assert part in found.sentence


def test_learning_to_write_alone_is_told_from_hearing() -> None:
    scores = group(difference_interval=[-0.5, -0.2], difference_normalized_interval=[-0.1, 0.1])
    assert "writing changed more than hearing" in verdict(scores, "wer").sentence


def test_characters_lead_only_where_no_language_has_spaces() -> None:
    assert headline({"language": {"zh": {}, "ja": {}}}) == "cer"
    assert headline({"language": {"zh": {}, "es": {}}}) == "wer"


def test_a_group_without_an_interval_is_unclear() -> None:
    assert kind(group(difference_interval=None), "wer") == "unclear"
    assert kind(group(difference_interval=[0.1, 0.2]), "wer") == "worse"


def test_a_language_that_became_worse_is_warned_of_by_its_own_score() -> None:
    worse_words, worse_characters = {"difference_interval": [0.1, 0.2]}, {"difference_cer_interval": [0.1, 0.2]}
    languages = {"es": group(**worse_words), "de": group(**worse_characters), "ja": group(**worse_characters)}
    found = warnings({"language": languages})
    assert found == [
        "Spanish became worse: WER 70.0 → 50.0 %.",
        "Japanese became worse: CER 30.0 → 20.0 %.",
    ]


def test_the_only_language_and_a_small_one_are_left_to_the_verdict() -> None:
    worse = {"difference_interval": [0.1, 0.2]}
    assert warnings({"language": {"es": group(**worse)}}) == []
    assert warnings({"language": {"es": group(29, **worse), "de": group()}}) == []


def test_a_forgotten_set_and_a_leak_are_warned_of() -> None:
    forgotten = {**group(difference_interval=[0.1, 0.2]), "language": {"en": {}}}
    kept = {**group(), "language": {"en": {}}}
    leak = {"n_texts": 90, "n_texts_in_train": 0, "n_speakers": 12, "n_speakers_in_train": 3}
    found = warnings({"language": {"es": group()}, "sets": {"radio": forgotten, "phone": kept}, "leak": leak})
    assert len(found) == 2
    assert found[0].startswith("radio: WER rose")
    assert found[1] == "3 of the 12 speakers of the test split are in train too: known voices are easier."
