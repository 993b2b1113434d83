"""Training: one loss whatever the layout, a checkpoint that others can load, and errors before the first step."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import WhisperForConditionalGeneration, WhisperProcessor

from asr.errors import UserError
from asr.features import pad_log_mel
from asr.models.checkpoints import load_model
from asr.models.whisper import WindowedWhisper
from asr.params import Model, Params, Train
from asr.shards import read_examples, write_index
from asr.train.attempt import Attempt
from asr.train.training import train
from tests.builders import example, unequal_clips, write_features

END = 50257


@pytest.fixture(scope="module")
def features(tmp_path_factory) -> Path:
    """21 train clips of unequal length and label count (batches of 8, 8 and 5), and 5 to validate."""
    folder = tmp_path_factory.mktemp("features")
    rows = unequal_clips(21)
    write_features(folder, {"train": rows, "validation": rows[:5]})
    return folder


def params(**train_options) -> Params:
    settings = {"max_steps": 5, "batch_size": 8, "warmup_steps": 0, "learning_rate": 1e-3, "precision": "float32"}
    return Params(model=Model(window_s=10), train=Train(**settings | train_options))


def curves_of(base, features, folder, **train_options):
    """The summary of a training, and the points of its curves: name -> step -> value."""
    curves: dict[str, dict[int, float]] = {}

    def log(metrics, step):
        for name, value in metrics.items():
            curves.setdefault(name, {})[step] = value

    attempt = Attempt(folder.with_name(f"{folder.name}-attempt"))
    return train(base, features, folder, params(**train_options), log, attempt), curves


@pytest.fixture(scope="module")
def whole(scratch, features, tmp_path_factory):
    """A training of an epoch and two thirds in one process without accumulation: folder, summary, curves."""
    folder = tmp_path_factory.mktemp("whole") / "model"
    return folder, *curves_of(scratch, features, folder)


def assert_same(curves, expected):
    for name in ("train_loss", "gradient_norm", "validation_loss"):
        points = {int(step): value for step, value in curves[name].items()}
        assert points == pytest.approx(expected[name], rel=1e-5), name


@pytest.mark.parametrize("accumulation", [2, 4, 8])
def test_accumulation_changes_neither_loss_nor_gradient(scratch, features, whole, tmp_path, accumulation):
    _, curves = curves_of(scratch, features, tmp_path, gradient_accumulation_steps=accumulation)
    assert_same(curves, whole[2])


def test_the_validation_loss_is_the_mean_over_all_its_tokens(features, whole):
    """Against transformers' own loss, clip by clip."""
    folder, summary, _ = whole
    network = load_model(folder, WindowedWhisper).eval()
    total = n_tokens = 0.0
    for row in read_examples(features, "validation"):
        mel = torch.from_numpy(pad_log_mel(row["log_mel"], 1000))[None]
        labels = torch.tensor([row["labels"]])
        with torch.no_grad():
            loss = network(mel, decoder_input_ids=labels[:, :-1], labels=labels[:, 1:]).loss
        total, n_tokens = total + float(loss) * (labels.shape[1] - 1), n_tokens + labels.shape[1] - 1
    assert summary.validation_loss == pytest.approx(total / n_tokens, rel=1e-5)


def test_the_checkpoint_is_whole_in_float32_and_alone_in_its_folder(scratch, whole):
    folder, _, _ = whole
    network = WhisperForConditionalGeneration.from_pretrained(folder)
    assert network.dtype == torch.float32
    assert network.config.encoder_window_s == 10
    assert WhisperProcessor.from_pretrained(folder).tokenizer.get_vocab()["<|endoftext|>"] == END
    assert {path.name for path in folder.iterdir()} == {
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "preprocessor_config.json",
        "processor_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    before, after = load_model(scratch).state_dict(), network.state_dict()
    positions = "model.encoder.embed_positions.weight"
    assert torch.equal(before[positions], after[positions])
    assert not torch.equal(before["model.encoder.conv1.weight"], after["model.encoder.conv1.weight"])


def test_the_loss_falls_and_bf16_follows_float32(scratch, features, whole, tmp_path):
    summary, curves = curves_of(scratch, features, tmp_path, precision="bf16")
    assert summary.precision == "bf16"
    assert curves["train_loss"] == pytest.approx(whole[2]["train_loss"], rel=0.01)
    assert curves["train_loss"][5] < curves["train_loss"][1] - 0.5


def test_one_seed_gives_one_model_and_another_another(scratch, features, whole, tmp_path):
    folders = {seed: tmp_path / str(seed) for seed in (1, 2)}
    for seed, folder in folders.items():
        curves_of(scratch, features, folder, seed=seed)
    first, second = (load_model(folder).state_dict() for folder in folders.values())
    expected = load_model(whole[0]).state_dict()
    assert all(torch.equal(first[name], expected[name]) for name in expected)
    assert not all(torch.equal(second[name], expected[name]) for name in expected)


def refusal(base, features, tmp_path, **train_options) -> str:
    with pytest.raises(UserError) as refused:
        attempt = Attempt(tmp_path / "attempt")
        train(base, features, tmp_path / "model", params(**train_options), lambda *_: None, attempt)
    assert not (tmp_path / "model").exists()
    return str(refused.value)


def test_features_without_train_rows_are_refused(scratch, tmp_path):
    write_features(tmp_path, {"test": [example("a")]})
    assert "has no train rows" in refusal(scratch, tmp_path, tmp_path)


def test_features_of_another_mel_count_are_refused(scratch, tmp_path):
    index = write_features(tmp_path, {"train": [example("a")]})
    write_index(tmp_path, replace(index, n_mels=128))
    assert "has 128 mel bins, but the checkpoint wants 80" in refusal(scratch, tmp_path, tmp_path)


def test_a_loss_that_is_no_number_stops_with_the_learning_rate(scratch, features, tmp_path):
    assert "train.learning_rate" in refusal(scratch, features, tmp_path, learning_rate=1e30, max_steps=20)


def test_a_corpus_without_validation_rows_trains_all_the_same(scratch, tmp_path):
    write_features(tmp_path, {"train": [example(f"clip-{n}") for n in range(8)]})
    summary, curves = curves_of(scratch, tmp_path, tmp_path / "model", max_steps=1)
    assert summary.validation_loss is None
    assert "validation_loss" not in curves
