"""asr/pages/charts.py: which slices are drawn, in which order, and on what scale."""

from typing import Any

import pytest

from asr.pages.charts import Chart, Row, Scale, charts, scale


def group(wer: float | None = 0.2, n_utterances: int = 100, **more: Any) -> dict[str, Any]:
    """Scores of a slice, whose CER is half of its WER."""
    cer = None if wer is None else wer / 2
    return {
        **{"wer": wer, "cer": cer, "n_utterances": n_utterances, "n_words": 5 * n_utterances},
        **{"wer_interval": [0.1, 0.3], "cer_interval": [0.05, 0.15]},
        **{"difference_interval": [-0.5, -0.2], "difference_cer_interval": [-0.1, 0.1]},
        "baseline": {"wer": 0.6, "cer": 0.3},
        **more,
    }


def named(metrics: dict[str, Any]) -> dict[str, list[Row]]:
    return {chart.title: chart.rows for chart in charts(metrics)}


def test_a_language_is_drawn_by_its_own_score_and_the_largest_first() -> None:
    (rows,) = named({"language": {"ja": group(n_utterances=50), "es": group()}}).values()
    assert rows == [
        Row("Spanish", "wer", 100, 0.6, 0.2, [0.1, 0.3], "better"),
        Row("Japanese", "cer", 50, 0.3, 0.1, [0.05, 0.15], "unclear"),
    ]


def test_a_slice_of_few_utterances_has_no_interval_and_no_verdict() -> None:
    (row,) = named({"language": {"es": group(n_utterances=9)}})["Language"]
    assert (row.interval, row.kind, row.after) == (None, "unclear", 0.2)


def test_lengths_and_texts_have_names_that_a_person_reads() -> None:
    durations = {"under_2": group(), "5_to_10": group(), "from_20": group()}
    found = named({"language": {"es": group()}, "duration_s": durations, "text": {"seen": group(), "unseen": group()}})
    assert [row.label for row in found["Length of the clip"]] == ["under 2 s", "5 to 10 s", "20 s and more"]
    assert [row.label for row in found["Text"]] == ["in train too", "not in train"]


def test_one_text_slice_alone_is_not_drawn() -> None:
    assert "Text" not in named({"language": {"es": group()}, "text": {"unseen": group()}})


def test_speakers_go_from_the_worst_to_the_best() -> None:
    worst = [{"speaker": "a", **group(0.9)}, {"speaker": "b", **group(0.8)}]
    best = [{"speaker": "z", **group(0.1)}, {"speaker": "y", **group(0.2)}]
    speakers = {"worst": worst, "best": best, "n_compared": 40, "n_speakers": 55}
    found = list(charts({"language": {"es": group()}, "speaker": speakers}))[-1]
    assert found.title == "The 2 worst and 2 best speakers"
    assert [row.label for row in found.rows] == ["a", "b", "y", "z"]
    assert "40 of 55" in found.note


def test_a_set_is_drawn_by_the_score_of_its_languages() -> None:
    sets = {"radio": group(language={"en": {}}), "tokyo": group(language={"ja": {}})}
    found = named({"language": {"es": group()}, "sets": sets})["Other test sets"]
    assert [(row.label, row.score) for row in found] == [("radio", "wer"), ("tokyo", "cer")]


def drawn(*rates: float | None) -> Scale:
    return scale([Chart("", [Row("", "wer", 100, rate, rate, None, "unclear") for rate in rates])])


def test_a_scale_holds_all_rates_and_marks_round_numbers() -> None:
    found = drawn(0.123, 0.4, None)
    assert found.limit == pytest.approx(0.408)
    assert found.ticks == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    assert found.percent(0.4) == pytest.approx(98.04)


def test_a_rate_beyond_the_largest_scale_lies_at_its_edge() -> None:
    found = drawn(0.1, 12.0)
    assert (found.limit, found.percent(12.0), found.percent(0.75)) == (1.5, 100, 50)


def test_without_rates_there_is_a_scale_all_the_same() -> None:
    assert drawn(None).percent(0.0) == 0
    assert drawn(0.0).percent(0.0) == 0


@pytest.mark.parametrize("rate", [0.001, 0.01, 0.09, 0.3, 0.77, 1.0, 1.4, 3.0])
def test_a_scale_has_a_few_marks_within_its_width(rate: float) -> None:
    found = drawn(rate)
    assert 1 <= len(found.ticks) <= 6
    assert max(found.ticks) <= found.limit
