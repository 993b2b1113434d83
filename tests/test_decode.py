"""Greedy decoding: what transformers' `generate` hears, clip by clip, in batches of mixed languages and lengths."""

from pathlib import Path

import pytest
import torch
from transformers import WhisperForConditionalGeneration, WhisperTokenizer

from asr import decode
from asr.base import fetch
from asr.batches import EpochBatches
from asr.checkpoints import load_model
from asr.decode import decode_batch, transcribe
from asr.errors import UserError
from asr.features import log_mel, pad_log_mel
from asr.params import Model
from asr.shards import read_examples
from asr.tokens import Labeller
from asr.whisper import WindowedWhisper
from tests.builders import decoded, example, write_features

END = 50257
LANGUAGES = ["en", "es", "fr", "bg"]


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("whisper") / "base"
    try:
        fetch(Model(checkpoint="openai/whisper-base"), folder)
    except UserError as error:
        pytest.skip(f"NO REAL CHECKPOINT, so decoding stays unchecked against transformers: {error}")
    return folder


@pytest.fixture(scope="module")
def speech(base, real_clips, tmp_path_factory) -> Path:
    """The features of a clip in each of four languages."""
    labeller = Labeller(base)
    rows = []
    for language in LANGUAGES:
        path, _, text = next(clip for clip in real_clips if clip[1] == language)
        samples = decoded(path)
        columns = {"log_mel": log_mel(samples), "duration_s": len(samples) / 16000, "language": language}
        rows.append(example(Path(path).stem, labels=labeller.labels(text, language), text=text) | columns)
    folder = tmp_path_factory.mktemp("speech")
    write_features(folder, {"test": rows})
    return folder


def test_a_batch_is_heard_as_generate_hears_each_clip_alone(base, speech):
    stock = WhisperForConditionalGeneration.from_pretrained(base, dtype=torch.float32)
    tokenizer = WhisperTokenizer.from_pretrained(base)
    expected = {}
    for row in read_examples(speech, "test"):
        features = torch.from_numpy(pad_log_mel(row["log_mel"], 3000))[None]
        tokens = stock.generate(features, language=row["language"], task="transcribe")
        expected[row["id"]] = tokenizer.decode(tokens[0], skip_special_tokens=True).strip()
    heard = transcribe(base, speech, "test", 30, "float32", "decoding")
    assert len(heard) == 4
    assert heard == expected


def test_a_short_window_is_heard_as_generate_hears_it(base, speech):
    """Token for token, and in bf16 all but the same."""
    network = load_model(base, WindowedWhisper).eval()
    (batch,) = EpochBatches(speech, "test", batch_size=8, window_s=10, pad_id=END)
    own = decode_batch(network, batch, torch.float32)
    for features, inputs, tokens in zip(batch["input_features"], batch["decoder_input_ids"], own, strict=True):
        language = network.generation_config.lang_to_id
        (code,) = [name.strip("<|>") for name, number in language.items() if number == inputs[1]]
        expected = network.generate(features[None], language=code, task="transcribe")[0].tolist()
        assert tokens == [token for token in expected if token < END]
    in_bf16 = decode_batch(network, batch, torch.bfloat16)
    assert sum(a == b for a, b in zip(own, in_bf16, strict=True)) >= 3


@pytest.fixture(scope="module")
def sounds(tmp_path_factory) -> Path:
    """20 rows of 0.2 to 11 s, in two windows of 10 s and 15 s, as an English-only checkpoint labels them."""
    rows = [example(f"clip-{n:02d}", 0.2 if n else 11.0, [50258, 50363, 400, END]) for n in range(20)]
    folder = tmp_path_factory.mktemp("sounds")
    write_features(folder, {"test": rows})
    return folder


def test_every_clip_has_one_hypothesis(scratch, sounds):
    heard = transcribe(scratch, sounds, "test", 10, "auto", "decoding")
    assert sorted(heard) == [f"clip-{n:02d}" for n in range(20)]


def test_the_prefix_ends_where_the_text_begins_and_a_loop_ends_at_the_clips_bound(scratch, sounds, monkeypatch):
    seen = []
    monkeypatch.setattr(decode, "greedy", lambda network, heard, prefix, bounds: seen.append((prefix, bounds)) or [])
    network = load_model(scratch, WindowedWhisper).eval()
    for batch in EpochBatches(sounds, "test", batch_size=20, window_s=10, pad_id=END):
        decode_batch(network, batch, torch.float32)
    assert all(torch.equal(prefix.unique(dim=0), torch.tensor([[50258, 50363]])) for prefix, _ in seen)
    assert {bound for _, bounds in seen for bound in bounds.tolist()} == {32 + int(40 * 0.22), 446}


def test_a_network_that_never_ends_is_stopped(scratch):
    network = load_model(scratch, WindowedWhisper).eval()
    network.generation_config.suppress_tokens = [END]
    heard = torch.randn(3, 500, network.config.d_model)
    prefix = torch.tensor([[50258, 50363]] * 3)
    tokens = decode.greedy(network, heard, prefix, torch.tensor([5, 40, 1]))
    assert [len(found) for found in tokens] == [5, 40, 1]
