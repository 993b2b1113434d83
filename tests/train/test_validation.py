"""A look at the validation split: the loss of all its tokens and the word errors of a fixed few of its clips."""

from hashlib import blake2b

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from transformers import WhisperTokenizer

from asr.clips.tokens import Labeller
from asr.evaluate.edits import edits
from asr.loading.batches import MASKED, EpochBatches, EpochLoader
from asr.loading.epochs import Layout
from asr.models.checkpoints import load_model
from asr.models.whisper import WindowedWhisper
from asr.train import validation
from asr.train.validation import clips_to_decode, measure
from tests.builders import example, write_features

TEXTS = ["one", "one two", "one two three", "a b c d", "this is the longest of all"]
N_CLIPS = 11


@pytest.fixture(scope="module")
def network(scratch) -> WindowedWhisper:
    return load_model(scratch, WindowedWhisper)


@pytest.fixture(scope="module")
def tokenizer(scratch) -> WhisperTokenizer:
    return WhisperTokenizer.from_pretrained(scratch)


@pytest.fixture(scope="module")
def features(scratch, tmp_path_factory):
    """11 clips of 0.2 to 0.7 s and one of 11 s, so of two windows."""
    labeller, folder = Labeller(scratch), tmp_path_factory.mktemp("features")
    rows = [
        example(f"clip-{n}", 11 if n == 3 else 0.2 + 0.05 * n, labeller.labels(TEXTS[n % 5], "en"))
        for n in range(N_CLIPS)
    ]
    write_features(folder, {"validation": rows, "train": rows[:1]}, rows_per_shard=4)
    return folder


def loader(features, batch_size=4, **options) -> EpochLoader:
    options = {"window_s": 10, "pad_id": 50257, **options}
    return EpochLoader(EpochBatches(features, options.pop("split", "validation"), batch_size=batch_size, **options))


def token_losses(network, inputs):
    logits = network(inputs["input_features"], decoder_input_ids=inputs["decoder_input_ids"]).logits
    return F.cross_entropy(logits.flatten(0, 1), inputs["labels"].flatten(), ignore_index=MASKED, reduction="sum")


def look(network, tokenizer, batches, decoded=(), reduce=lambda sums: sums):
    return measure(
        network,
        batches,
        token_losses,
        decoded=decoded,
        tokenizer=tokenizer,
        dtype=torch.float32,
        device=torch.device("cpu"),
        reduce=reduce,
    )


def repeating(monkeypatch, tokenizer, changed=()):
    """Stands in for the decoder: hears the text of each clip, but "wrong" in those of `changed` lengths in frames."""
    said = {}

    def remember(batch, decoded):
        found = clips_of(batch, decoded)
        for clip in found:
            text = tokenizer.decode(clip["labels"][clip["labels"] != MASKED], skip_special_tokens=True)
            said[int(clip["n_frames"])] = text
        return found

    def decode(network, batch, dtype):
        lengths = [int(n) for n in batch["n_frames"]]
        assert not network.training
        return [tokenizer.encode("wrong" if n in changed else said[n], add_special_tokens=False) for n in lengths]

    clips_of = validation._clips_of
    monkeypatch.setattr(validation, "_clips_of", remember)
    monkeypatch.setattr(validation, "decode_batch", decode)
    return said


def test_the_decoded_clips_are_those_with_the_smallest_hashes(features):
    names = [f"clip-{n}" for n in range(N_CLIPS)]
    expected = sorted(names, key=lambda name: blake2b(name.encode()).digest())[:4]
    assert clips_to_decode(features, "validation", 4) == set(expected)
    assert clips_to_decode(features, "validation", 100) == set(names)
    assert clips_to_decode(features, "validation", 0) == clips_to_decode(features, "test", 4) == set()


def test_the_loss_is_the_mean_over_all_tokens_whatever_the_batches(network, tokenizer, features):
    total = n_tokens = 0.0
    with torch.no_grad():
        for batch in loader(features, batch_size=1):
            total += float(token_losses(network.eval(), batch))
            n_tokens += int((batch["labels"] != MASKED).sum())
    for batch_size in (2, 4, 11):
        found = look(network, tokenizer, loader(features, batch_size))
        assert found == {"eval_loss": pytest.approx(total / n_tokens, rel=1e-6)}


def test_what_is_heard_right_has_no_errors(network, tokenizer, features, monkeypatch):
    said = repeating(monkeypatch, tokenizer)
    found = look(network, tokenizer, loader(features), clips_to_decode(features, "validation", N_CLIPS))
    assert found["eval_wer"] == 0
    assert sorted(said.values()) == sorted(TEXTS[n % 5] for n in range(N_CLIPS))


def test_word_errors_are_counted_over_the_words_of_the_decoded_clips(network, tokenizer, features, monkeypatch):
    """clip-3, the only one of 11 s, has four words, of which none is heard."""
    repeating(monkeypatch, tokenizer, changed=range(1000, 1200))
    decoded = {"clip-3", "clip-4"}  # 4 and 6 words
    assert look(network, tokenizer, loader(features), decoded)["eval_wer"] == pytest.approx(4 / 10)


def test_the_errors_are_those_of_decoding_clip_by_clip(network, tokenizer, features):
    decoded = clips_to_decode(features, "validation", 5)
    found = look(network, tokenizer, loader(features), decoded)
    errors = n_words = 0
    for batch in loader(features, batch_size=1):
        if batch["ids"][0] in decoded:
            tokens = validation.decode_batch(network.eval(), batch, torch.float32)[0]
            heard = tokenizer.decode(tokens, skip_special_tokens=True)
            counts = edits([tokenizer.decode(batch["labels"][0], skip_special_tokens=True)], [heard])
            errors, n_words = errors + counts[:, :3].sum(), n_words + counts[:, 3].sum()
    assert found["eval_wer"] == pytest.approx(errors / n_words)


def test_two_processes_get_the_numbers_of_one(network, tokenizer, features, monkeypatch):
    """Batches of four and less in eight parts, so that there are fillers, which count for nothing."""
    repeating(monkeypatch, tokenizer, changed=range(30, 45))
    decoded = clips_to_decode(features, "validation", 6)
    expected = look(network, tokenizer, loader(features), decoded)
    shares = []
    for rank in (0, 1):
        batches = loader(features, layout=Layout(rank, 2, 4))
        look(network, tokenizer, batches, decoded, lambda sums: shares.append(sums) or sums)
    assert 0 < shares[0][3] < shares[0][3] + shares[1][3]
    found = look(network, tokenizer, [], decoded, lambda _: shares[0] + shares[1])
    assert found == pytest.approx(expected, rel=1e-6)


def test_an_empty_split_has_no_scores(network, tokenizer, features):
    assert look(network, tokenizer, loader(features, split="test")) == {}


@pytest.mark.parametrize("training", [True, False])
def test_a_look_leaves_mode_and_random_numbers_as_they_were(network, tokenizer, features, training):
    network.train(training)
    network.model.decoder.dropout = 0.5
    torch.manual_seed(3)
    np.random.seed(3)
    before = torch.get_rng_state(), np.random.get_state()[1]
    decoded = clips_to_decode(features, "validation", 1)
    first, second = (look(network, tokenizer, loader(features), decoded) for _ in range(2))
    assert first == second
    assert network.training is training
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])
