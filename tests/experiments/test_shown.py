"""asr/experiments/shown.py: what MLflow shows of params and scores."""

import pytest

from asr import params
from asr.evaluate import scoring
from asr.experiments import shown
from tests.repositories import heard

SCORES = scoring.flat(scoring.metrics(heard(8), 100, seed=1))


def test_params_of_other_sources_and_of_what_is_not_used_are_left_out() -> None:
    default = shown.params(params.Params().model_dump())
    assert {"synthetic", "split", "seed"} <= default["data"].keys()
    assert not {"table", "tuxpaint"} & default["data"].keys()
    assert "scratch" not in default["model"]
    assert default["train"]["lora"] == {"rank": 0}
    assert default["audio"] == params.Params().audio.model_dump()


def test_params_that_have_an_effect_stay() -> None:
    every = params.Params().model_dump()
    every["data"] |= {"source": "tuxpaint"}
    every["model"]["checkpoint"] = "scratch"
    every["train"]["lora"]["rank"] = 8
    found = shown.params(every)
    assert "tuxpaint" in found["data"]
    assert "synthetic" not in found["data"]
    assert found["model"] == every["model"]
    assert found["train"] == every["train"]


def test_of_a_mixture_each_corpus_is_shown_by_its_name_and_own_params() -> None:
    parts = [{"source": "table", "name": "mine", "table": {"path": "a.csv"}}, {"source": "fleurs", "path": "fleurs"}]
    found = shown.params(params.check({"data": {"sources": parts}}).model_dump())["data"]
    assert [*found["sources"]] == ["mine", "fleurs"]
    assert found["sources"]["mine"]["table"]["path"] == "a.csv" and found["sources"]["fleurs"]["weight"] == 1
    assert not {"source", "synthetic", "path"} & found.keys()
    assert not {"name", "table", "synthetic"} & found["sources"]["fleurs"].keys()
    assert "sources" not in shown.params(params.Params().model_dump())["data"]


def test_the_headline_is_error_rates_before_and_after_overall_and_by_language() -> None:
    assert sorted(shown.headline(SCORES)) == [
        "baseline.cer",
        "baseline.wer",
        "baseline.wer_normalized",
        "cer",
        "difference_interval.high",
        "difference_interval.low",
        "language.en.cer",
        "language.en.wer",
        "n_utterances",
        "wer",
        "wer_interval.high",
        "wer_interval.low",
        "wer_normalized",
        "window_30s.cer",
        "window_30s.wer",
        "window_30s.wer_normalized",
    ]


def test_an_evaluations_page_has_the_headline_and_no_counts_of_groups() -> None:
    found = shown.scores(SCORES)
    assert shown.headline(SCORES).items() <= found.items() <= SCORES.items()
    assert {"deletions", "language.en.baseline.wer", "duration_s.2_to_5.wer"} <= found.keys()
    assert not {"language.en.deletions", "language.en.better_share", "window_30s.n_utterances"} & found.keys()


def test_the_note_is_a_table_with_a_row_a_language() -> None:
    scores = {"wer": 0.091, "baseline.wer": 0.752, "wer_interval.low": 0.06, "wer_interval.high": 0.124}
    scores |= {"language.de.wer": 0.014, "language.de.baseline.wer": 0.791, "cer": 0.0275, "baseline.cer": 0.4528}
    assert shown.note(scores) == "\n".join(
        [
            "**WER 75.2 → 9.1 %** (95 % interval 6.0 to 12.4)",
            "",
            "| % | WER before | after | CER before | after |",
            "|---|---:|---:|---:|---:|",
            "| all | 75.2 | 9.1 | 45.3 | 2.8 |",
            "| de | 79.1 | 1.4 | – | – |",
        ]
    )


@pytest.mark.parametrize("known", [{}, {"wer": 0.1}, {"accuracy": 0.5}])
def test_without_rates_before_and_after_there_is_no_note(known: dict[str, float]) -> None:
    assert shown.note(known) is None
