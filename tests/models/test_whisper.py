"""Windows: the bucket rule, and a Whisper that at 30 s is transformers' own."""

import pytest
import torch
from transformers import WhisperConfig, WhisperForConditionalGeneration

from asr.features import n_frames
from asr.models.whisper import WindowedWhisper, window_frames


@pytest.mark.parametrize(
    ("duration_s", "window_s", "expected_s"),
    [
        (0.1, 10, 10),
        (10.0, 10, 10),  # exactly full: its two frames past the edge do not count
        (10.01, 10, 15),
        (15.0, 10, 15),
        (26.0, 10, 30),
        (30.0, 10, 30),
        (3.0, 30, 30),
        (22.0, 20, 25),
        (0.1, 0, 1),
        (7.0, 0, 7),
        (7.01, 0, 8),
        (30.0, 0, 30),
    ],
)
def test_a_clip_gets_the_smallest_bucket_that_holds_it(duration_s, window_s, expected_s):
    assert window_frames(n_frames(round(duration_s * 16000)), window_s) == 100 * expected_s


@pytest.mark.parametrize("window_s", [0, 10, 15, 20, 25, 30])
def test_no_window_cuts_more_than_the_two_frames_past_a_clips_end(window_s):
    windows = [window_frames(n, window_s) for n in range(1, 3001)]
    assert all(n - 2 <= window <= 3000 and window % 100 == 0 for n, window in enumerate(windows, start=1))
    assert windows == sorted(windows)


def config() -> WhisperConfig:
    return WhisperConfig(
        vocab_size=300,
        d_model=64,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=128,
        decoder_ffn_dim=128,
        pad_token_id=257,
        bos_token_id=257,
        eos_token_id=257,
        decoder_start_token_id=258,
        suppress_tokens=None,
        begin_suppress_tokens=None,
    )


@pytest.fixture(scope="module")
def pair() -> tuple[WhisperForConditionalGeneration, WindowedWhisper]:
    """Stock and windowed, with the same weights."""
    torch.manual_seed(0)
    stock = WhisperForConditionalGeneration(config()).eval()
    windowed = WindowedWhisper(config()).eval()
    windowed.load_state_dict(stock.state_dict())
    for network in (stock, windowed):
        network.generation_config.no_timestamps_token_id = 299
    return stock, windowed


def loss_and_gradients(network, features):
    network.zero_grad()
    torch.manual_seed(1)
    labels = torch.randint(0, 256, (2, 7))
    output = network(features, labels=labels)
    output.loss.backward()
    return output.logits, {name: p.grad for name, p in network.named_parameters() if p.grad is not None}


def test_at_30_s_logits_and_gradients_are_bit_equal_to_stock(pair):
    features = torch.randn(2, 80, 3000)
    stock, windowed = (loss_and_gradients(network, features) for network in pair)
    assert torch.equal(stock[0], windowed[0])
    assert stock[1].keys() == windowed[1].keys()
    assert all(torch.equal(stock[1][name], windowed[1][name]) for name in stock[1])


def test_what_is_scored_gets_the_logits_of_stock_and_where_nothing_is_the_gradient_is_0(pair):
    stock, windowed = pair
    features, tokens = torch.randn(2, 80, 3000), torch.randint(0, 256, (2, 5))
    scored = torch.tensor([[True, True, False, True, False], [False, True, False, False, False]])
    expected = stock(features, decoder_input_ids=tokens).logits[scored]
    assert torch.allclose(windowed(features, decoder_input_ids=tokens, scored=scored), expected, atol=1e-6)
    windowed.zero_grad()
    windowed(features, decoder_input_ids=tokens, scored=torch.zeros_like(scored)).sum().backward()
    gradients = [weight.grad for weight in windowed.parameters() if weight.requires_grad]
    assert gradients and not any(gradient is None or gradient.any() for gradient in gradients)


def test_at_30_s_generate_gives_the_tokens_of_stock(pair):
    features = torch.randn(2, 80, 3000)
    stock, windowed = (network.generate(features, max_new_tokens=12) for network in pair)
    assert torch.equal(stock, windowed)


def test_a_window_equals_a_stock_model_made_for_that_length(pair):
    short = config()
    short.max_source_positions = 500
    expected = WhisperForConditionalGeneration(short).eval()
    expected.generation_config.no_timestamps_token_id = 299
    weights = pair[0].state_dict()
    name = "model.encoder.embed_positions.weight"
    expected.load_state_dict(weights | {name: weights[name][:500]})
    features = torch.randn(2, 80, 1000)
    tokens = torch.randint(0, 256, (2, 5))
    assert torch.equal(
        expected(features, decoder_input_ids=tokens).logits, pair[1](features, decoder_input_ids=tokens).logits
    )
    assert torch.equal(expected.generate(features, max_new_tokens=12), pair[1].generate(features, max_new_tokens=12))


def test_the_model_is_as_before_after_a_window_even_one_that_failed(pair):
    windowed = pair[1]
    with pytest.raises(RuntimeError):
        windowed(torch.randn(1, 79, 1000), decoder_input_ids=torch.tensor([[1]]))
    assert windowed.config.max_source_positions == 1500
    assert windowed.model.encoder.embed_positions.num_embeddings == 1500


@pytest.mark.parametrize("frames", [999, 3002, 0])
def test_a_length_that_the_encoder_has_no_positions_for_is_refused(pair, frames):
    with pytest.raises(ValueError, match=f"{frames} frames; an even number up to 3000"):
        pair[1](torch.zeros(1, 80, frames), decoder_input_ids=torch.tensor([[1]]))


def test_a_saved_window_loads_in_stock_transformers(pair, tmp_path):
    pair[1].config.encoder_window_s = 10
    pair[1](torch.randn(1, 80, 1000), decoder_input_ids=torch.tensor([[1]]))
    pair[1].save_pretrained(tmp_path)
    loaded = WhisperForConditionalGeneration.from_pretrained(tmp_path)
    assert loaded.config.encoder_window_s == 10
    assert loaded.config.max_source_positions == 1500
