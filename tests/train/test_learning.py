"""What learns: LoRA that ends as a plain checkpoint, a frozen encoder, activations that are computed again."""

import copy
import logging

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from transformers import WhisperForConditionalGeneration
from transformers.trainer_pt_utils import LabelSmoother

from asr.loading.batches import MASKED
from asr.models.checkpoints import load_model
from asr.models.device import autocast
from asr.models.whisper import WindowedWhisper
from asr.params import Lora, Train
from asr.train.learning import merged_state, prepare

LORA = Lora(rank=4, alpha=8, dropout=0.0, modules=["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"])
POSITIONS = "model.encoder.embed_positions.weight"


@pytest.fixture(scope="module")
def base(scratch) -> WindowedWhisper:
    return load_model(scratch, WindowedWhisper)


def prepared(base, **train_options) -> WindowedWhisper:
    torch.manual_seed(0)
    network = copy.deepcopy(base).train()
    prepare(network, Train(**train_options))
    return network


def clips(n_frames=1000):
    """Two clips, the second with a label less: features, decoder inputs, labels."""
    generator = torch.Generator().manual_seed(n_frames)
    tokens = torch.randint(0, 50257, (2, 7), generator=generator)
    labels = tokens[:, 1:].clone()
    labels[1, -1] = MASKED
    return torch.randn(2, 80, n_frames, generator=generator), tokens[:, :-1], labels


def loss_of(network, n_frames=1000, dtype=torch.float32):
    features, inputs, labels = clips(n_frames)
    with autocast(torch.device("cpu"), dtype):
        logits = network(features, decoder_input_ids=inputs, use_cache=False).logits
    return F.cross_entropy(logits.float().flatten(0, 1), labels.flatten(), ignore_index=MASKED, reduction="sum")


def learn(network, n_steps=3) -> WindowedWhisper:
    """Steps at a rate that moves every weight that may move; decay moves those that have no gradient of their own."""
    learners = [weight for weight in network.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(learners, lr=1e-2, weight_decay=0.1)
    for _ in range(n_steps):
        optimizer.zero_grad()
        loss_of(network).backward()
        optimizer.step()
    return network


def moved(before, after) -> set[str]:
    return {name for name in before if not torch.equal(before[name], after[name])}


def logits_of(network, n_frames=3000):
    features, inputs, _ = clips(n_frames)
    with torch.no_grad():
        return network.eval()(features, decoder_input_ids=inputs).logits


def test_by_default_all_weights_learn_but_the_encoders_positions(base):
    network = learn(prepared(base))
    before = base.state_dict()
    assert set(before) - moved(before, network.state_dict()) == {POSITIONS}


def test_masks_and_dropped_layers_of_the_checkpoint_s_own_training_are_off(base):
    network = copy.deepcopy(base)
    network.config.apply_spec_augment = True
    network.config.mask_time_prob = 0.5
    network.model.encoder.layerdrop = network.model.decoder.layerdrop = 0.5
    prepare(network, Train())
    mels = torch.ones(1, 80, 200)
    network.train()
    first, second = (
        network(input_features=mels.clone(), decoder_input_ids=torch.tensor([[50258]])).logits for _ in range(2)
    )
    assert torch.equal(first, second)


def test_a_frozen_encoder_is_bit_equal_after_training_and_the_decoder_is_not(base):
    network = learn(prepared(base, freeze_encoder=True))
    before = base.state_dict()
    assert moved(before, network.state_dict()) == {name for name in before if not name.startswith("model.encoder.")}


def test_a_frozen_encoder_leaves_no_graph_and_drops_nothing_out(base):
    network = prepared(base, freeze_encoder=True)
    network.model.encoder.dropout = 0.9
    network.model.decoder.dropout = 0.9
    heard = [network.model.encoder(clips(3000)[0]).last_hidden_state for _ in range(2)]
    assert not heard[0].requires_grad
    assert torch.equal(*heard)
    assert not torch.equal(loss_of(network), loss_of(network))  # the decoder's dropout goes on


def test_a_gradient_that_passes_no_encoder_is_the_whole_ones(base):
    """Freezing changes what learns, never how the rest learns."""
    whole, frozen = prepared(base), prepared(base, freeze_encoder=True)
    for network in (whole, frozen):
        loss_of(network).backward()
    expected = dict(whole.named_parameters())
    for name, weight in frozen.named_parameters():
        if weight.requires_grad:
            torch.testing.assert_close(weight.grad, expected[name].grad)


def test_only_the_low_rank_factors_learn_and_each_of_them_does(base):
    network = prepared(base, lora=LORA)
    before = copy.deepcopy(network.state_dict())
    assert moved(before, learn(network).state_dict()) == {name for name in before if ".lora_" in name}
    assert {name.split(".")[1] for name in before if ".lora_" in name} == {"encoder", "decoder"}


def test_the_named_matrices_have_factors_of_the_rank_and_no_others(base):
    network = prepared(base, lora=Lora(rank=4, modules=["v_proj", "fc2"]))
    shapes = {name: weight.shape for name, weight in network.named_parameters() if ".lora_A." in name}
    assert {name.split(".lora_")[0].split(".")[-1] for name in shapes} == {"v_proj", "fc2"}
    assert {shape[0] for shape in shapes.values()} == {4}


def test_with_a_frozen_encoder_only_the_decoder_has_factors(base):
    network = prepared(base, lora=LORA, freeze_encoder=True)
    factors = {name for name, weight in network.named_parameters() if weight.requires_grad}
    assert factors and all(name.startswith("model.decoder.") and ".lora_" in name for name in factors)
    assert any(".encoder_attn.k_proj." in name for name in factors)


def test_before_the_first_step_lora_changes_nothing(base):
    assert torch.equal(logits_of(prepared(base, lora=LORA)), logits_of(copy.deepcopy(base)))


@pytest.mark.parametrize("rank", [4, 0])
def test_the_merged_weights_load_in_plain_transformers_and_say_the_same(base, tmp_path, rank):
    network = learn(prepared(base, lora=LORA.model_copy(update={"rank": rank})))
    expected = logits_of(network)
    assert (expected - logits_of(copy.deepcopy(base))).abs().max() > 0.1
    network.save_pretrained(tmp_path, state_dict=merged_state(network))
    plain, info = WhisperForConditionalGeneration.from_pretrained(tmp_path, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    assert torch.allclose(logits_of(plain), expected, atol=1e-5)
    assert plain.state_dict().keys() == base.state_dict().keys()


def test_merged_weights_have_the_names_that_a_checkpoint_has_and_float32(base, scratch):
    names = load_file(scratch / "model.safetensors").keys()
    for options in ({}, {"lora": LORA}):
        state = merged_state(prepared(base, **options))
        assert state.keys() == names
        assert {weight.dtype for weight in state.values()} == {torch.float32}


def test_merging_leaves_the_network_as_it_is(base):
    network = learn(prepared(base, lora=LORA))
    before = copy.deepcopy(network.state_dict())
    first, second = merged_state(network), merged_state(network)
    assert not moved(before, network.state_dict()) and not moved(first, second)
    assert network.training
    learn(network, 1)
    assert moved(first, merged_state(network))


def test_a_network_with_factors_is_saved_and_loaded_bit_by_bit(base, tmp_path):
    """As Trainer does it for its own checkpoints."""
    network = learn(prepared(base, lora=LORA))
    network.save_pretrained(tmp_path)
    again = prepared(base, lora=LORA)
    missing, unexpected = again.load_state_dict(load_file(tmp_path / "model.safetensors"), strict=False)
    assert missing == ["proj_out.weight"] and not unexpected
    assert not moved(network.state_dict(), again.state_dict())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("options", [{}, {"lora": LORA.model_copy(update={"dropout": 0.2})}, {"freeze_encoder": True}])
def test_checkpointed_activations_give_the_same_loss_and_gradients_in_short_windows(base, options, dtype):
    found = []
    for checkpointing in (False, True):
        network = prepared(base, activation_checkpointing=checkpointing, **options)
        network.model.decoder.dropout = network.model.decoder.layers[0].dropout = 0.1
        torch.manual_seed(1)
        losses = [loss_of(network, n_frames, dtype) for n_frames in (1000, 500)]
        sum(losses).backward()
        learners = {name: weight for name, weight in network.named_parameters() if weight.requires_grad}
        assert all(weight.grad is not None for weight in learners.values())
        found.append((losses, {name: weight.grad for name, weight in learners.items()}))
    (losses, gradients), (losses_again, gradients_again) = found
    assert losses == losses_again
    assert gradients.keys() == gradients_again.keys()
    assert not moved(gradients, gradients_again)


def test_activations_are_computed_again_only_if_asked_for_and_without_a_warning(base, caplog):
    logging.getLogger("transformers").addHandler(caplog.handler)
    logger = logging.getLogger("transformers.utils.generic")
    type(logger).warning_once.cache_clear()
    for checkpointing in (False, True):
        network = prepared(base, activation_checkpointing=checkpointing)
        calls = []
        network.model.decoder.layers[0].fc1.register_forward_hook(lambda *_, calls=calls: calls.append(1))
        loss_of(network).backward()
        assert len(calls) == 1 + checkpointing
    logging.getLogger("transformers").removeHandler(caplog.handler)
    assert not caplog.messages


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_smoothed_labels_are_those_of_transformers_and_masked_ones_do_not_count(smoothing):
    """torch's definition, which the trainer uses, against transformers'."""
    generator = torch.Generator().manual_seed(0)
    logits = 50 * torch.randn(3, 6, 51865, generator=generator)
    labels = torch.randint(0, 51865, (3, 6), generator=generator)
    labels[1, 4:] = MASKED
    expected = LabelSmoother(epsilon=smoothing)({"logits": logits}, labels.clone())
    found = F.cross_entropy(
        logits.flatten(0, 1), labels.flatten(), ignore_index=MASKED, reduction="sum", label_smoothing=smoothing
    )
    assert torch.isfinite(found)
    assert float(found / 16) == pytest.approx(float(expected), rel=1e-6)


def test_smoothed_losses_of_parts_add_up_to_that_of_the_whole():
    logits = torch.randn(8, 100, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(8)
    labels[5] = MASKED

    def loss(rows):
        return F.cross_entropy(logits[rows], labels[rows], ignore_index=MASKED, reduction="sum", label_smoothing=0.1)

    assert float(loss(slice(0, 3)) + loss(slice(3, 8))) == pytest.approx(float(loss(slice(0, 8))), rel=1e-6)
