"""asr/models/attention.py: another way to the same bits."""

import pytest
import torch
from transformers import WhisperConfig, WhisperForConditionalGeneration

from asr.models.attention import attention_for


@pytest.mark.parametrize(
    ("window_s", "device", "expected"),
    [(10, "cpu", "plain"), (1, "cpu", "plain"), (15, "cpu", "sdpa"), (0, "cpu", "sdpa"), (10, "cuda", "sdpa")],
)
def test_short_windows_on_a_processor_are_plain(window_s, device, expected):
    assert attention_for(window_s, torch.device(device)) == expected


@pytest.mark.parametrize("dropout", [0.0, 0.1])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_plain_has_the_bits_of_transformers_own(dtype, dropout):
    torch.manual_seed(0)
    config = WhisperConfig(
        d_model=64, encoder_layers=2, decoder_layers=2, encoder_attention_heads=2, decoder_attention_heads=2,
        encoder_ffn_dim=128, decoder_ffn_dim=128, vocab_size=300, max_source_positions=100, attention_dropout=dropout,
        pad_token_id=0, bos_token_id=1, eos_token_id=1, decoder_start_token_id=2, suppress_tokens=None,
    )  # fmt: skip
    network = WhisperForConditionalGeneration(config).train()
    features, tokens = torch.randn(2, 80, 200), torch.randint(0, 256, (2, 7))

    def computed(name):
        network.set_attn_implementation(name)
        network.zero_grad()
        torch.manual_seed(1)
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            logits = network(input_features=features, decoder_input_ids=tokens, use_cache=False).logits
        logits.float().square().sum().backward()
        return logits, [weight.grad for weight in network.parameters() if weight.grad is not None]

    (ours, our_gradients), (theirs, their_gradients) = computed("plain"), computed("eager")
    assert torch.equal(ours, theirs)
    assert len(our_gradients) == len(their_gradients) > 50
    assert all(map(torch.equal, our_gradients, their_gradients))
