"""The transcription benchmark: names of weights at openai-whisper, what is joined, and, slowly, a whole run."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile

from asr.corpora import manifest
from asr.utterances import Utterance

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("transcribe")


@pytest.fixture
def clips(real_clips):
    chosen = [clip for clip in real_clips if clip[1] in ("es", "fr")][:4]
    return [
        Utterance(f"{n}", path, text, language, "test", duration_s=soundfile.info(path).duration)
        for n, (path, language, text) in enumerate(chosen)
    ]


@pytest.mark.parametrize(
    ("name", "at_openai"),
    [
        ("encoder.embed_positions.weight", "encoder.positional_embedding"),
        ("encoder.conv1.weight", "encoder.conv1.weight"),
        ("encoder.layers.0.self_attn.k_proj.weight", "encoder.blocks.0.attn.key.weight"),
        ("encoder.layers.0.self_attn_layer_norm.bias", "encoder.blocks.0.attn_ln.bias"),
        ("encoder.layer_norm.weight", "encoder.ln_post.weight"),
        ("decoder.embed_tokens.weight", "decoder.token_embedding.weight"),
        ("decoder.layers.3.encoder_attn.out_proj.bias", "decoder.blocks.3.cross_attn.out.bias"),
        ("decoder.layers.3.encoder_attn_layer_norm.bias", "decoder.blocks.3.cross_attn_ln.bias"),
        ("decoder.layers.3.fc1.weight", "decoder.blocks.3.mlp.0.weight"),
        ("decoder.layers.3.final_layer_norm.weight", "decoder.blocks.3.mlp_ln.weight"),
        ("decoder.layer_norm.weight", "decoder.ln.weight"),
    ],
)
def test_weights_have_the_names_of_openai_whisper(monkeypatch, name, at_openai):
    monkeypatch.syspath_prepend(BENCHMARKS / "ways")
    assert importlib.import_module("transcription")._name_at_openai(name) == at_openai


def test_the_clips_of_a_language_are_joined_with_pauses(benchmark, clips, tmp_path):
    joined = benchmark._joined(clips, tmp_path)
    assert sorted(joined) == sorted({clip.language for clip in clips})
    for language, path in joined.items():
        own = [clip for clip in clips if clip.language == language]
        pauses_s = soundfile.info(path).duration - sum(clip.duration_s for clip in own)
        assert 0.4 * len(own) - 0.01 <= pauses_s <= 1.2 * len(own) + 0.01


@pytest.mark.slow
def test_the_command_measures_and_says_what_is_missing(clips, scratch, tmp_path):
    manifest.write(clips, tmp_path / "manifest")
    words = ["--model", str(scratch), "--manifest", str(tmp_path / "manifest"), "--clips", "2", "--work", str(tmp_path)]
    words += ["--results", str(tmp_path), "--ways", "ours", "faster-whisper"]
    command = [sys.executable, str(BENCHMARKS / "transcribe.py"), *words]
    done = subprocess.run(command, capture_output=True, text=True, cwd=BENCHMARKS.parent)
    assert "ours, torch float32 to faster-whisper, float32, short clips, times as fast" in done.stdout
    assert json.loads((tmp_path / "transcribe.json").read_text())
