"""The model card: what the hub reads of it, what a reader sees, and nothing of this machine."""

from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from asr import params
from asr.evaluate.predictions import Prediction
from asr.evaluate.scoring import metrics
from asr.exports.card import Facts, Split, card
from asr.exports.heard import Check

ROWS = [
    Prediction(f"{n}", language, f"speaker {n % 7}", "one two three four", "one two three four", "one two three", "one")
    for n, language in enumerate(["es", "hi"] * 20)
]


def facts(**choices):
    chosen = params.check(
        {
            "data": {"source": "table", "table": {"path": "/home/me/secret/table.csv"}},
            "model": {"window_s": 10},
            "export": {"formats": ["hub", "ctranslate2-int8", "lora"], "license": "cc-by-4.0", **choices},
        }
    )
    run = {
        "run": {"run_id": "0123abc", "tracking_uri": "sqlite:////home/me/mlflow.db"},
        "training": {"steps": 80, "epochs": 2.0, "precision": "float32", "processes": 1},
    }
    return Facts(
        params=chosen,
        metrics=metrics(ROWS, 200, 1),
        run=run,
        languages=["es", "hi"],
        splits=[Split("train", 900, 1.5), Split("test", 40, 0.1)],
        n_trained=890,
        checks={name: Check("wer", 0.01, (0.0, 0.05), 30) for name in chosen.export.formats},
        git_commit="f00d-dirty",
        digests={"checkpoint": "d41d8"},
    )


def test_the_hub_reads_language_license_base_and_scores():
    data = ModelCard(card(facts(datasets=["mozilla-foundation/common_voice_17_0"]))).data
    assert (data.language, data.license, data.base_model) == (["es", "hi"], "cc-by-4.0", "openai/whisper-base")
    assert data.datasets == ["mozilla-foundation/common_voice_17_0"]
    of_all = [result for result in data.eval_results if result.dataset_name == "Spanish, Hindi"]
    assert {result.metric_type: result.metric_value for result in of_all} == {"wer": 0.0, "cer": 0.0}
    assert [result.dataset_name for result in data.eval_results] == [
        name for name in ("Spanish, Hindi", "Spanish", "Hindi") for _ in ("wer", "cer")
    ]


def test_a_reader_sees_before_and_after_with_intervals_by_language():
    text = card(facts())
    assert "| Spanish | 20 | 75.0 | **0.0** | 0.0 to 0.0 | 25.0 |" in text
    assert "| all | 40 | 75.0 | **0.0** |" in text
    assert "| ctranslate2-int8 | 1.00 | 30 s | 0.0 to 5.0 |" in text
    assert "Few test words (under 500) in Spanish, Hindi" in text
    assert "890 were trained on" in text
    for name in ("0123abc", "d41d8", "f00d", "`train.learning_rate`", "PeftModel", "WhisperModel"):
        assert name in text


@pytest.mark.parametrize("private", ["/home/", "secret", "sqlite", "dirty", str(Path.cwd())])
def test_nothing_of_this_machine_is_in_it(private):
    assert private not in card(facts())


def test_its_name_is_made_of_base_and_languages_unless_one_is_given():
    assert "# whisper-base-es-hi\n" in card(facts())
    assert "# my-whisper\n" in card(facts(name="my-whisper"))
