"""What does not fit is refused before the first step, and running out of memory is one line."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy
from transformers import WhisperConfig

from asr.errors import UserError
from asr.loading.batches import EpochBatches
from asr.loading.epochs import MicroBatch
from asr.models.checkpoints import load_model
from asr.models.whisper import WindowedWhisper
from asr.params import Params, Train
from asr.shards import Index, ShardEntry, sha256_of
from asr.train.fitting import (
    Shape,
    accumulation,
    check,
    check_batch,
    check_rows,
    explained_memory,
    largest,
    try_largest,
)
from tests.builders import example, write_features

CONFIG = WhisperConfig(num_mel_bins=80)


def index_of(n_train: int = 20, n_validation: int = 4, **columns) -> Index:
    entries = {
        split: [ShardEntry(f"{split}.parquet", n, 100 * n, 1000 * n, "0")] if n else []
        for split, n in (("train", n_train), ("validation", n_validation))
    }
    return Index("0" * 16, n_mels=80, codec="float16", splits=entries, root="data/features", **columns)


def refusal(index: Index, base: Path, n_processes: int = 1, config: WhisperConfig = CONFIG, **options) -> str:
    with pytest.raises(UserError) as refused:
        check(index, base, config, Params(train=Train(**options)), n_processes)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_what_goes_together_is_not_refused(scratch):
    known = index_of(tokenizer=sha256_of(scratch / "tokenizer.json"))
    for index in (known, index_of(tokenizer=""), index_of(n_train=8), index_of(n_validation=0)):
        check(index, scratch, CONFIG, Params(train=Train(batch_size=8)), n_processes=4)


def test_features_of_another_mel_count_are_refused(scratch):
    said = refusal(replace(index_of(), n_mels=128), scratch)
    assert said == "data/features has 128 mel bins, but the checkpoint wants 80; run `dvc repro preprocess`"


def test_labels_of_another_tokenizer_are_refused(scratch):
    said = refusal(index_of(tokenizer="f" * 64), scratch)
    assert said == f"data/features has the labels of another tokenizer than {scratch}'s; run `dvc repro preprocess`"


def test_an_empty_train_split_is_refused(scratch):
    assert "data/features has no train rows; see its rejects.parquet" in refusal(index_of(n_train=0), scratch)


@pytest.mark.parametrize("select", ["loss", "wer"])
def test_a_choice_by_validation_without_validation_rows_is_refused(scratch, select):
    said = refusal(index_of(n_validation=0), scratch, select=select)
    assert said.startswith(f"train.select is {select}, but data/features has no validation rows; set it to last")


def test_a_batch_larger_than_an_epoch_is_refused():
    check_batch(Train(batch_size=32), n_clips=32)
    with pytest.raises(UserError, match=r"^train\.batch_size 32 is over the 20 train rows there are; lower it$"):
        check_batch(Train(batch_size=32), n_clips=20)


def test_more_processes_than_clips_of_a_batch_are_refused(scratch):
    said = refusal(index_of(), scratch, n_processes=9, batch_size=8)
    assert said == "train.batch_size 8 has no clip for each of 9 processes; raise it, or lower TRAIN_PROCESSES"


@pytest.mark.parametrize(("n_processes", "parts"), [(1, 4), (2, 4), (3, 2), (8, 1)])
def test_many_devices_need_no_other_params(n_processes, parts):
    train = Train(batch_size=8, gradient_accumulation_steps=4)
    assert accumulation(train, n_processes) == parts


def test_rows_that_the_model_has_no_positions_for_are_refused():
    small = WhisperConfig(max_source_positions=750, max_target_positions=10)
    fitting = np.array([1500, 1000], np.int32), np.array([11, 3], np.int32)
    check_rows(*fitting, small)
    check_rows(np.empty(0, np.int32), np.empty(0, np.int32), small)
    with pytest.raises(UserError, match=r"1 clips need a longer window than the 15 s .* model.window_s"):
        check_rows(np.array([2000, 1500], np.int32), fitting[1], small)
    with pytest.raises(UserError, match=r"1 rows have more labels than the decoder's 10 positions; run `dvc repro"):
        check_rows(fitting[0], np.array([12, 11], np.int32), small)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes."),
    ],
)
def test_running_out_of_memory_is_one_line_with_remedies(error):
    where = "the GPU" if isinstance(error, torch.OutOfMemoryError) else "this machine"
    with pytest.raises(UserError) as told, explained_memory(Train(batch_size=12, gradient_accumulation_steps=2)):
        raise error
    assert str(told.value) == (
        f"out of memory on {where}; raise train.gradient_accumulation_steps from 2 to 3, "
        "or set train.activation_checkpointing: true, or lower model.window_s"
    )


def test_what_is_done_already_is_no_remedy():
    train = Train(batch_size=4, gradient_accumulation_steps=4, activation_checkpointing=True)
    with pytest.raises(UserError, match=r"on this machine; lower model.window_s$"), explained_memory(train):
        raise MemoryError


def test_a_real_allocation_that_is_too_large_is_explained():
    with pytest.raises(UserError, match="out of memory on this machine"), explained_memory(Train()):
        torch.empty(1 << 50, dtype=torch.uint8)


def test_another_error_stays_what_it_is():
    with pytest.raises(RuntimeError, match="shapes"), explained_memory(Train()):
        raise RuntimeError("shapes do not match")


def part(window: int, *rows: int) -> MicroBatch:
    return MicroBatch(np.array(rows), np.zeros(len(rows), np.int64), window, n_targets=1, filler=False)


def test_the_largest_is_by_window_and_clips_and_then_by_labels():
    n_labels = np.array([10, 50, 5, 20, 30], np.int32)
    parts = [part(1000, 0, 1), part(1500, 2), part(1000, 3, 4), part(1000, 0)]
    assert largest(parts, n_labels) == Shape(n_clips=2, n_frames=1000, n_labels=49)


@pytest.fixture
def trainer(scratch, tmp_path):
    write_features(tmp_path, {"train": [example(str(n), 0.3) for n in range(6)]})
    rows = EpochBatches(tmp_path, "train", batch_size=4, window_s=1, pad_id=50257, seed=1)
    shapes = []

    def compute_loss(network, inputs):
        shapes.append((inputs["input_features"].shape, inputs["decoder_input_ids"].shape))
        logits = network(inputs["input_features"], decoder_input_ids=inputs["decoder_input_ids"]).logits
        return cross_entropy(logits.flatten(0, 1), inputs["labels"].flatten())

    network = load_model(scratch, WindowedWhisper)
    network.model.decoder.dropout = 0.1  # draws from the generator
    arguments = SimpleNamespace(device=torch.device("cpu"))
    return SimpleNamespace(args=arguments, train_rows=rows, network=network, compute_loss=compute_loss, shapes=shapes)


def test_the_trial_leaves_no_trace(trainer):
    before = {name: weight.clone() for name, weight in trainer.network.state_dict().items()}
    state = torch.get_rng_state()
    try_largest(trainer, force=True)
    assert trainer.shapes == [((4, 80, 100), (4, 5))]
    assert torch.equal(torch.get_rng_state(), state)
    assert all(weight.grad is None for weight in trainer.network.parameters())
    assert all(torch.equal(weight, before[name]) for name, weight in trainer.network.state_dict().items())


def test_on_a_processor_there_is_no_trial(trainer):
    try_largest(trainer)
    assert trainer.shapes == []


def test_running_out_of_memory_in_the_trial_is_told(trainer, monkeypatch):
    def compute_loss(network, inputs):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(trainer, "compute_loss", compute_loss)
    with pytest.raises(UserError, match="out of memory on the GPU"), explained_memory(Train()):
        try_largest(trainer, force=True)
