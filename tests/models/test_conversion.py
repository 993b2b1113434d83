import struct

import numpy as np
import pytest
import torch
from transformers import WhisperProcessor

from asr.models import conversion
from asr.models.checkpoints import load_model

TOLD = {"suppress_ids": [1, 2], "suppress_ids_begin": [220, 50257], "alignment_heads": [[0, 0]]}
DTYPE_NUMBERS = {np.dtype(dtype): number for number, dtype in conversion.DTYPES.items()}


@pytest.fixture(scope="module")
def network(scratch):
    return load_model(scratch).eval()


@pytest.fixture(scope="module")
def tokenizer(scratch):
    return WhisperProcessor.from_pretrained(scratch).tokenizer


@pytest.fixture
def variables(network):
    """The scratch model as CTranslate2 has it: its names, projections stacked, keys with a bias of zero."""
    state = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    found = {name: np.array(value, np.int8) for name, value in conversion.SETTINGS.items()}

    def norm(theirs, ours):
        found[f"{theirs}/layer_norm/gamma"], found[f"{theirs}/layer_norm/beta"] = (
            state[f"{ours}layer_norm.weight"],
            state[f"{ours}layer_norm.bias"],
        )

    def linear(theirs, *ours):
        found[f"{theirs}/weight"] = np.concatenate([state[f"{name}.weight"] for name in ours])
        zeros = np.zeros(len(state[f"{ours[0]}.weight"]), np.float32)
        found[f"{theirs}/bias"] = np.concatenate([state.get(f"{name}.bias", zeros) for name in ours])

    for part in ("encoder", "decoder"):
        found[f"{part}/num_heads"] = np.array(network.config.encoder_attention_heads, np.int16)
        found[f"{part}/position_encodings/encodings"] = state[f"model.{part}.embed_positions.weight"]
        norm(part, f"model.{part}.")
        for i in range(network.config.encoder_layers):
            theirs, ours = f"{part}/layer_{i}", f"model.{part}.layers.{i}"
            norm(f"{theirs}/self_attention", f"{ours}.self_attn_")
            linear(f"{theirs}/self_attention/linear_0", *(f"{ours}.self_attn.{name}_proj" for name in "qkv"))
            linear(f"{theirs}/self_attention/linear_1", f"{ours}.self_attn.out_proj")
            if part == "decoder":
                norm(f"{theirs}/attention", f"{ours}.encoder_attn_")
                linear(f"{theirs}/attention/linear_0", f"{ours}.encoder_attn.q_proj")
                linear(f"{theirs}/attention/linear_1", *(f"{ours}.encoder_attn.{name}_proj" for name in "kv"))
                linear(f"{theirs}/attention/linear_2", f"{ours}.encoder_attn.out_proj")
            norm(f"{theirs}/ffn", f"{ours}.final_")
            linear(f"{theirs}/ffn/linear_0", f"{ours}.fc1")
            linear(f"{theirs}/ffn/linear_1", f"{ours}.fc2")
    for name in ("conv1", "conv2"):
        linear(f"encoder/{name}", f"model.encoder.{name}")
    found["decoder/embeddings/weight"] = state["model.decoder.embed_tokens.weight"]
    found["decoder/projection/weight"] = found["decoder/embeddings/weight"]
    return found


def text(content):
    return struct.pack("<H", len(content) + 1) + content.encode() + b"\0"


def binary(variables, aliases, version=conversion.BINARY_VERSION, name="WhisperSpec"):
    """The bytes of a CTranslate2 model."""
    parts = [struct.pack("<I", version), text(name), struct.pack("<II", 3, len(variables))]
    for variable, array in variables.items():
        parts += [text(variable), struct.pack("<B", array.ndim), struct.pack(f"<{array.ndim}I", *array.shape)]
        parts += [struct.pack("<BI", DTYPE_NUMBERS[array.dtype], array.nbytes), array.tobytes()]
    parts.append(struct.pack("<I", len(aliases)))
    parts += [text(alias) + text(variable) for alias, variable in aliases.items()]
    return b"".join(parts)


def test_a_file_gives_its_variables_and_aliases():
    weight, setting = np.arange(6, dtype=np.float16).reshape(2, 3), np.array(-1, np.int16)
    found = conversion.read(binary({"a/weight": weight, "b": setting}, {"c": "a/weight"}))
    assert list(found) == ["a/weight", "b", "c"]
    assert found["c"] is found["a/weight"]
    np.testing.assert_array_equal(found["a/weight"], weight)
    assert found["a/weight"].dtype == np.float16
    assert found["b"] == -1


def test_a_file_of_another_version_a_cut_one_and_one_that_goes_on_are_refused():
    content = binary({"a": np.zeros(3, np.float32)}, {})
    with pytest.raises(ValueError, match="version 5"):
        conversion.read(binary({}, {}, version=5))
    with pytest.raises(ValueError, match="TransformerSpec"):
        conversion.read(binary({}, {}, name="TransformerSpec"))
    with pytest.raises(ValueError, match="in the middle"):
        conversion.read(content[:-6])
    with pytest.raises(ValueError, match="3 bytes follow"):
        conversion.read(content + b"abc")


def test_the_model_that_comes_back_is_the_one_that_was_converted(network, tokenizer, variables):
    aliases = {"decoder/projection/weight": "decoder/embeddings/weight"}
    content = binary({name: array for name, array in variables.items() if name not in aliases}, aliases)
    again = conversion.model(conversion.read(content), TOLD, tokenizer)
    expected, actual = network.state_dict(), again.state_dict()
    assert expected.keys() == actual.keys()
    assert all(torch.equal(expected[name], actual[name]) for name in expected)
    assert again.proj_out.weight is again.model.decoder.embed_tokens.weight
    shape = ("d_model", "encoder_layers", "decoder_attention_heads", "encoder_ffn_dim", "vocab_size", "num_mel_bins")
    assert [getattr(again.config, name) for name in shape] == [getattr(network.config, name) for name in shape]


@pytest.mark.parametrize(
    "name",
    [
        "decoder/layer_1/attention/linear_1/bias",
        "encoder/layer_0/ffn/layer_norm/gamma",
        "encoder/position_encodings/encodings",
        "encoder/num_heads",
        "decoder/projection/weight",
        "decoder/activation",
    ],
)
def test_a_missing_variable_is_an_error_that_names_it(tokenizer, variables, name):
    del variables[name]
    with pytest.raises(ValueError, match=name):
        conversion.model(variables, TOLD, tokenizer)


def test_a_variable_that_is_left_over_is_an_error(tokenizer, variables):
    with pytest.raises(ValueError, match="encoder/layer_0/ffn/extra"):
        conversion.model(variables | {"encoder/layer_0/ffn/extra": np.zeros(1, np.float32)}, TOLD, tokenizer)


def test_a_layer_that_is_only_begun_is_an_error(tokenizer, variables):
    with pytest.raises(ValueError, match="encoder/layer_2"):
        conversion.model(variables | {"encoder/layer_2/ffn/layer_norm/beta": np.zeros(64, np.float32)}, TOLD, tokenizer)


def test_another_shape_a_key_bias_an_untied_head_and_another_activation_are_errors(tokenizer, variables):
    def refused(match, **changed):
        with pytest.raises(ValueError, match=match):
            conversion.model(
                variables | {name.replace("__", "/"): array for name, array in changed.items()}, TOLD, tokenizer
            )

    refused("size mismatch", encoder__layer_0__ffn__linear_1__bias=np.zeros(63, np.float32))
    refused("keys have a bias", encoder__layer_0__self_attention__linear_0__bias=np.ones(192, np.float32))
    refused("not tied", decoder__projection__weight=np.zeros((51865, 64), np.float32))
    refused("decoder/activation is 0", decoder__activation=np.array(0, np.int8))
