"""Exports of a checkpoint: the same weights and words in each format, and one that hears otherwise is refused."""

import json
import os
from dataclasses import replace

import numpy as np
import pytest
import torch
from peft import PeftModel
from transformers import WhisperForConditionalGeneration, WhisperProcessor

from asr import params
from asr.errors import UserError
from asr.evaluate.predictions import Prediction
from asr.exports.adapter import write_adapter
from asr.exports.checkpoint import write_ctranslate2, write_hub
from asr.exports.heard import check
from asr.features import log_mel, pad_log_mel
from asr.models import checkpoints
from asr.transcription.engines import load
from tests.builders import decoded

RANK = 3


@pytest.fixture(scope="module")
def tuned(scratch, tmp_path_factory):
    """The scratch checkpoint, with what LoRA of rank 3 could have learnt on two modules, trained at 5 s."""
    folder = tmp_path_factory.mktemp("tuned") / "model"
    network = WhisperForConditionalGeneration.from_pretrained(scratch, dtype=torch.float32)
    torch.manual_seed(1)
    for layer in network.model.decoder.layers:
        for module in (layer.self_attn.q_proj, layer.encoder_attn.v_proj):
            rows, columns = module.weight.shape
            module.weight.data += 0.05 * torch.randn(rows, RANK) @ torch.randn(RANK, columns)
    network.config.encoder_window_s = 5
    checkpoints.save(network, WhisperProcessor.from_pretrained(scratch), folder)
    return folder


@pytest.fixture(scope="module")
def hub(tuned, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exports") / "hub"
    write_hub(tuned, folder, ["es"])
    return folder


def weights_of(folder):
    return WhisperForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).state_dict()


def test_the_hub_gets_the_same_weights_with_language_task_and_window(tuned, hub):
    before, after = weights_of(tuned), weights_of(hub)
    assert all(torch.equal(weight, after[name]) for name, weight in before.items())
    generation = json.loads((hub / "generation_config.json").read_text())
    assert (generation["language"], generation["task"]) == ("es", "transcribe")
    assert json.loads((hub / "config.json").read_text())["encoder_window_s"] == 5
    assert {"preprocessor_config.json", "tokenizer.json", "model.safetensors"} <= {path.name for path in hub.iterdir()}
    engine = load(hub, "torch")
    assert (engine.language, engine.window_s) == ("es", 5)


def test_a_checkpoint_of_several_languages_asks_for_none(tuned, tmp_path):
    write_hub(tuned, tmp_path, ["en", "es"])
    assert json.loads((tmp_path / "generation_config.json").read_text()).get("language") is None


def test_ctranslate2_takes_along_what_others_need_and_the_window(hub, tmp_path):
    for name in ("float16", "int8"):
        write_ctranslate2(hub, tmp_path / name, name)
    exported = load(tmp_path / "int8", "ctranslate2")
    assert (exported.language, exported.window_s, exported.n_mels) == ("es", 5, 80)
    assert {"tokenizer.json", "preprocessor_config.json", "generation_config.json"} <= set(
        os.listdir(tmp_path / "int8")
    )
    assert (tmp_path / "int8" / "model.bin").stat().st_size < (tmp_path / "float16" / "model.bin").stat().st_size


def test_both_engines_hear_the_same_words_at_the_same_times(real_base, real_clips, tmp_path):
    """Of the real base checkpoint, whose weights are float16's already, on real clips at 10 s."""
    write_ctranslate2(real_base, tmp_path / "float16", "float16")
    paths = [path for path, language, _ in real_clips if language == "es"][:4]
    mels = [log_mel(decoded(path)) for path in paths]
    found = []
    for engine in (load(real_base, "torch", "float32"), load(tmp_path / "float16", "ctranslate2", "float32")):
        encoded = engine.encode(np.stack([pad_log_mel(mel, 1000) for mel in mels]))
        assert engine.detect(encoded).argmax(axis=1).tolist().count(list(engine.languages).index("es")) >= 2
        heard = engine.hear(encoded, [mel.shape[1] for mel in mels], ["es"] * len(mels), paths)
        found.append(heard)
    for ours, theirs in zip(*found, strict=True):
        assert ours.tokens == theirs.tokens
        np.testing.assert_allclose(ours.timed.confidences, theirs.timed.confidences, atol=0.02)
        np.testing.assert_allclose(ours.timed.starts_s, theirs.timed.starts_s, atol=0.3)


def test_the_adapter_alone_gives_the_tuned_weights_and_has_their_rank(scratch, tuned, tmp_path):
    rank = write_adapter(scratch, tuned, tmp_path, "someone/base", ["q_proj", "v_proj"])
    assert rank == RANK
    base = WhisperForConditionalGeneration.from_pretrained(scratch, dtype=torch.float32)
    merged = PeftModel.from_pretrained(base, str(tmp_path)).merge_and_unload().state_dict()
    expected = weights_of(tuned)
    assert all(torch.allclose(weight, merged[name], atol=1e-6) for name, weight in expected.items())
    assert (tmp_path / "adapter_model.safetensors").stat().st_size < (tuned / "model.safetensors").stat().st_size / 20


def test_weights_that_no_adapter_holds_are_named(scratch, tuned, tmp_path):
    with pytest.raises(UserError, match=r"training has changed .*q_proj.weight too, which no adapter holds"):
        write_adapter(scratch, tuned, tmp_path, "someone/base", ["v_proj"])
    with pytest.raises(UserError, match="no weight differs"):
        write_adapter(scratch, scratch, tmp_path, "someone/base", ["v_proj"])


ROWS = [
    Prediction(f"{n}", "en", None, "one two three four", "one two three four", "one two three", "x") for n in range(40)
]
ROWS[0] = replace(ROWS[0], hypothesis="one two three five")


def test_an_export_is_measured_against_the_interval_at_its_own_window():
    chosen = params.Evaluate(bootstrap_samples=200)
    at_10s = check({row.id: row.hypothesis for row in ROWS}, ROWS, 10, 10, chosen)
    at_30s = check({row.id: row.hypothesis_30s for row in ROWS}, ROWS, 30, 10, chosen)
    assert (at_10s.rate, at_30s.rate) == (1 / 160, 40 / 160)
    assert at_10s.holds and at_30s.holds
    at_10s.require("hub")
    worse = check({row.id: row.hypothesis_30s for row in ROWS}, ROWS, 10, 10, chosen)
    with pytest.raises(UserError, match=r"export int8: WER 25.0% on the test split at 10 s, outside of the run's own"):
        worse.require("export int8")
