"""Decoding: what transformers' `generate` hears, clip by clip, in batches of mixed languages and lengths; no loops."""

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest
import torch
from transformers import WhisperForConditionalGeneration, WhisperTokenizer

from asr.clips.tokens import Labeller
from asr.errors import UserError
from asr.evaluate import decode, search
from asr.evaluate.decode import decode_batch, load, transcribe
from asr.evaluate.loops import period
from asr.features import log_mel
from asr.loading.batches import EpochBatches
from asr.models.checkpoints import load_model
from asr.models.device import resolve_precision
from asr.models.whisper import WindowedWhisper
from tests.builders import decoded, example, write_features

END = 50257
LANGUAGES = ["en", "es", "fr", "bg"]


@pytest.fixture(scope="module")
def speech(real_base, real_clips, tmp_path_factory) -> Path:
    """The features of a clip in each of four languages."""
    labeller = Labeller(real_base)
    rows = []
    for language in LANGUAGES:
        path, _, text = next(clip for clip in real_clips if clip[1] == language)
        samples = decoded(path)
        columns = {"log_mel": log_mel(samples), "duration_s": len(samples) / 16000, "language": language}
        rows.append(example(Path(path).stem, labels=labeller.labels(text, language), text=text) | columns)
    folder = tmp_path_factory.mktemp("speech")
    write_features(folder, {"test": rows})
    return folder


@pytest.fixture(scope="module")
def real(real_base) -> WindowedWhisper:
    return load(real_base, torch.float32)


def as_generate_hears(network, batch, **options) -> list[list[int]]:
    """The tokens of each clip, alone."""
    codes = {number: name for name, number in network.generation_config.lang_to_id.items()}
    found = []
    for features, inputs in zip(batch["input_features"], batch["decoder_input_ids"], strict=True):
        tokens = network.generate(features[None], language=codes[int(inputs[1])], task="transcribe", **options)
        found.append([token for token in tokens[0].tolist() if token < END])
    return found


def test_a_batch_is_heard_as_generate_hears_each_clip_alone(real_base, real, speech):
    """Token for token, by the unchanged network, and without a loop."""
    stock = WhisperForConditionalGeneration.from_pretrained(real_base, dtype=torch.float32).eval()
    (batch,) = EpochBatches(speech, "test", batch_size=8, window_s=30, pad_id=END)
    counts = Counter()
    assert decode_batch(real, batch, torch.float32, counts=counts) == as_generate_hears(stock, batch)
    assert counts == {"clips": 4, "loops": 0}


@pytest.fixture(scope="module")
def at_10s(speech):
    """All four clips as a batch."""
    (batch,) = EpochBatches(speech, "test", batch_size=8, window_s=10, pad_id=END)
    return batch


@pytest.fixture(scope="module")
def heard_at_10s(real, at_10s):
    return decode_batch(real, at_10s, torch.float32)


def test_a_short_window_is_heard_as_generate_hears_it(real_base, real, speech, at_10s, heard_at_10s):
    """Token for token, and written without what stands around the text."""
    assert heard_at_10s == as_generate_hears(real, at_10s)
    texts = WhisperTokenizer.from_pretrained(real_base).batch_decode(heard_at_10s)
    heard = transcribe(real_base, speech, "test", 10, "float32", "decoding")
    assert heard.hypotheses == dict(zip(at_10s["ids"], (text.strip() for text in texts), strict=True))


def test_bf16_is_heard_all_but_as_float32_is(real_base, at_10s, heard_at_10s):
    in_bf16 = decode_batch(load(real_base, torch.bfloat16), at_10s, torch.bfloat16)
    assert sum(a == b for a, b in zip(heard_at_10s, in_bf16, strict=True)) >= 3


@pytest.fixture(scope="module")
def two(at_10s):
    return {name: part[:2] for name, part in at_10s.items() if name != "n_targets"}


def test_beams_are_those_of_generate_and_end_without_a_warning(real, two, caplog):
    expected = as_generate_hears(real, two, num_beams=3)
    caplog.clear()
    assert decode_batch(real, two, torch.float32, beams=3) == expected
    assert not [line for line in caplog.messages if "Passing `generation_config`" not in line]  # of its own making


def test_a_detected_language_is_that_of_generate_and_counted_where_the_row_says_another(real, two):
    wrong, right = two["decoder_input_ids"].clone(), two["decoder_input_ids"].clone()
    wrong[:, 1] = real.generation_config.lang_to_id["<|de|>"]
    with real.window_of(two["input_features"]):
        right[:, 1] = real.detect_language(two["input_features"])
    counts = Counter()
    found = decode_batch(real, {**two, "decoder_input_ids": wrong}, torch.float32, language="detect", counts=counts)
    assert found == decode_batch(real, {**two, "decoder_input_ids": right}, torch.float32)
    assert counts["other_language"] == 2


@pytest.fixture(scope="module")
def sounds(scratch, tmp_path_factory) -> Path:
    """20 rows of 0.2 to 11 s, in two windows of 10 s and 15 s, in two languages."""
    labeller = Labeller(scratch)
    rows = [
        example(f"clip-{n:02d}", 0.2 if n else 11.0, labeller.labels("A text.", "es" if n % 2 else "en"))
        for n in range(20)
    ]
    folder = tmp_path_factory.mktemp("sounds")
    write_features(folder, {"test": rows})
    return folder


def test_every_clip_has_one_hypothesis(scratch, sounds):
    heard = transcribe(scratch, sounds, "test", 10, "auto", "decoding")
    assert sorted(heard.hypotheses) == [f"clip-{n:02d}" for n in range(20)]
    assert heard.counts["clips"] == 20
    assert heard.audio_s == pytest.approx(11.0 + 19 * 0.2)
    assert heard.seconds > 0


@pytest.mark.parametrize("duration_s", [0.1, 30.0])
def test_a_split_of_one_clip_is_heard_however_short_or_long(scratch, tmp_path, duration_s):
    write_features(tmp_path, {"test": [example("clip", duration_s, Labeller(scratch).labels("A text.", "en"))]})
    heard = transcribe(scratch, tmp_path, "test", 10, "float32", "decoding")
    assert list(heard.hypotheses) == ["clip"]
    assert heard.audio_s == pytest.approx(duration_s)


def test_a_split_without_clips_is_heard_as_nothing(scratch, sounds):
    heard = transcribe(scratch, sounds, "validation", 10, "float32", "decoding")
    assert (heard.hypotheses, heard.counts, heard.audio_s) == ({}, Counter(), 0)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_what_is_heard_in_a_clip_does_not_depend_on_how_many_are_encoded_at_once(
    network, batch, monkeypatch, precision
):
    dtype = resolve_precision(precision)
    together = decode_batch(network, batch, dtype)
    monkeypatch.setattr(decode, "ENCODED_AT_ONCE", 1)
    assert decode_batch(network, batch, dtype) == together


def test_the_prefix_ends_where_the_text_begins_and_a_clip_ends_at_its_bound(scratch, sounds, monkeypatch):
    seen = []

    def greedy(network, heard, prefix, bounds, looked_up):
        seen.append((prefix, bounds))
        return [[] for _ in bounds]

    monkeypatch.setattr(decode, "greedy", greedy)
    network = load_model(scratch, WindowedWhisper).eval()
    for batch in EpochBatches(sounds, "test", batch_size=20, window_s=10, pad_id=END):
        decode_batch(network, batch, torch.float32)
    prefixes = {tuple(row) for prefix, _ in seen for row in prefix.tolist()}
    assert prefixes == {(50258, 50259, 50359, 50363), (50258, 50262, 50359, 50363)}
    assert {bound for _, bounds in seen for bound in bounds.tolist()} == {32 + int(40 * 0.22), 444}


LOOP = [1, 2, *[900, 901] * 10]


def guarded(network, batch, monkeypatch, again):
    """(tokens by id, counts), where the first clip of a batch loops when it is decoded greedily.

    `again` maps a seed to what sampling hears.
    """
    monkeypatch.setattr(decode, "greedy", lambda *arguments: [LOOP] + [[5, 6]] * (len(arguments[3]) - 1))
    monkeypatch.setattr(decode, "sampled", lambda *arguments: [again(seed) for seed in arguments[5]])
    counts = Counter()
    found = decode_batch(network, batch, torch.float32, counts=counts)
    return dict(zip(batch["ids"], found, strict=True)), counts


@pytest.fixture(scope="module")
def network(scratch) -> WindowedWhisper:
    return load_model(scratch, WindowedWhisper).eval()


@pytest.fixture
def batch(sounds):
    return next(iter(EpochBatches(sounds, "test", batch_size=4, window_s=10, pad_id=END)))


def test_a_second_hearing_that_ends_is_taken_for_a_loop(network, batch, monkeypatch):
    found, counts = guarded(network, batch, monkeypatch, lambda seed: [7, 8])
    assert list(found.values()) == [[7, 8]] + [[5, 6]] * (len(found) - 1)
    assert counts == {"clips": len(found), "loops": 1, "retries_that_helped": 1}


def test_of_two_loops_the_first_is_taken_without_its_repetitions(network, batch, monkeypatch):
    found, counts = guarded(network, batch, monkeypatch, lambda seed: [7] * 30)
    assert next(iter(found.values())) == [1, 2, 900, 901]
    assert (counts["loops"], counts["retries_that_helped"]) == (1, 0)


def test_a_second_hearing_depends_on_the_clip_and_not_on_its_batch(network):
    """Of a network with random weights, which never ends by itself."""
    torch.manual_seed(1)
    heard = torch.randn(3, 100, network.config.d_model)
    prefix = torch.tensor([[50258, 50259, 50359, 50363]] * 3)
    bounds = torch.tensor([6, 9, 9])
    with torch.inference_mode():
        together = search.sampled(network, heard, prefix, bounds, 0.6, [11, 12, 13])
        alone = search.sampled(network, heard[[2]], prefix[[2]], bounds[[2]], 0.6, [13])
        other = search.sampled(network, heard[[2]], prefix[[2]], bounds[[2]], 0.6, [14])
    assert together[2] == alone[0] != other[0]
    assert [len(tokens) for tokens in together] == [6, 9, 9]


@pytest.mark.parametrize("n_beams", [None, 1, 2])
def test_a_network_that_never_ends_is_stopped(network, monkeypatch, n_beams):
    """At the clip's bound, or as soon as it loops."""
    monkeypatch.setattr(network.generation_config, "suppress_tokens", [END])
    torch.manual_seed(1)
    features = torch.randn(3, 80, 400)
    prefix = torch.tensor([[50258, 50259, 50359, 50363]] * 3)
    bounds = torch.tensor([5, 400, 1])
    with torch.inference_mode(), network.window_of(features):
        heard = network.model.encoder(features).last_hidden_state
        if n_beams:
            tokens = search.beam(network, features, heard, prefix, bounds, n_beams)
        else:
            tokens = search.greedy(network, heard, prefix, bounds)
    assert [len(found) for found in (tokens[0], tokens[2])] == [5, 1]
    assert period(tokens[1]) > 0 or len(tokens[1]) == 400


def test_tokens_are_suppressed_as_generate_suppresses_them(network, monkeypatch):
    """Everywhere, and at the beginning only; what a config asks for beyond that is left to `generate`."""
    torch.manual_seed(1)
    features = torch.randn(1, 80, 400)
    batch = {
        "input_features": features,
        "decoder_input_ids": torch.tensor([[50258, 50259, 50359, 50363]]),
        "n_frames": torch.tensor([10]),
        "ids": ["a clip"],
    }
    monkeypatch.setattr(decode, "ran_away", lambda tokens, bound: False)
    first = decode_batch(network, batch, torch.float32)[0]
    settings = network.generation_config
    monkeypatch.setattr(settings, "suppress_tokens", [*settings.suppress_tokens, first[0]])
    monkeypatch.setattr(settings, "begin_suppress_tokens", None)
    suppressed = decode_batch(network, batch, torch.float32)[0]
    assert first[0] not in suppressed
    monkeypatch.setattr(settings, "no_repeat_ngram_size", 1)
    different = decode_batch(network, batch, torch.float32)[0]
    assert len(set(different)) == len(different) > 1
    assert different[0] == suppressed[0] and first[0] not in different


@pytest.mark.parametrize("missing", ["no_timestamps_token_id", "lang_to_id"])
def test_a_checkpoint_without_a_whole_generation_config_is_named(scratch, sounds, tmp_path, missing):
    folder = tmp_path / "model"
    shutil.copytree(scratch, folder)
    path = folder / "generation_config.json"
    if missing == "lang_to_id":
        path.write_text(json.dumps({**json.loads(path.read_text()), missing: None}))
    else:
        path.unlink()
    with pytest.raises(UserError, match=rf"model: no {missing} in generation_config.json; copy"):
        transcribe(folder, sounds, "test", 10, "float32", "decoding")


@pytest.mark.parametrize("labels", [[50258, 50363, 400, END], [50258, 50300, 77, 50363, 400, END]])
def test_labels_of_another_tokenizer_are_refused(scratch, tmp_path, labels):
    write_features(tmp_path, {"test": [example("clip", labels=labels)]})
    with pytest.raises(UserError, match=r"labels that start with .* made for another checkpoint"):
        transcribe(scratch, tmp_path, "test", 10, "float32", "decoding")


def test_a_checkpoint_of_english_alone_decodes_and_detects_nothing(scratch, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(scratch, folder)
    path = folder / "generation_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "is_multilingual": False}))
    write_features(tmp_path, {"test": [example("clip", labels=[50258, 50363, 400, END])]})
    assert list(transcribe(folder, tmp_path, "test", 10, "float32", "decoding").hypotheses) == ["clip"]
    with pytest.raises(UserError, match="English only"):
        transcribe(folder, tmp_path, "test", 10, "float32", "decoding", language="detect")
