"""The bytes of a CTranslate2 Whisper, its config and its tokenizer -> the same model in transformers, exactly."""

import re
import struct
from collections.abc import Mapping
from typing import Any, TypeAlias, cast

import numpy as np
import torch
from transformers import GenerationConfig, WhisperConfig, WhisperForConditionalGeneration, WhisperTokenizer

BINARY_VERSION = 6
DTYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}  # by CTranslate2's number
# What any Whisper has. The activation is CTranslate2's number of GELU, the last two are its defaults (unused here).
SETTINGS = {
    "decoder/activation": 3,
    "decoder/alibi": 0,
    "decoder/pre_norm": 1,
    "decoder/scale_embeddings": 0,
    "decoder/start_from_zero_embedding": 0,
    "decoder/alignment_heads": 1,
    "decoder/alignment_layer": -1,
}
# Projections that CTranslate2 stacks in linear_0, linear_1 ... of an attention block.
Stacked: TypeAlias = tuple[tuple[str, ...], ...]
SELF_ATTENTION: Stacked = (("q", "k", "v"), ("out",))
CROSS_ATTENTION: Stacked = (("q",), ("k", "v"), ("out",))


def read(content: bytes) -> dict[str, np.ndarray]:
    """The variables of a `model.bin` by name, aliases included; the arrays are views into `content`.

    Little-endian: version, spec name, revision, then per variable its name, rank, shape, dtype, size and bytes, then
    the aliases. Raises `ValueError` for another version and for a file that is cut or goes on.
    Source: `ModelSpec._serialize` in https://github.com/OpenNMT/CTranslate2/blob/master/python/ctranslate2/specs/model_spec.py
    """
    reader = _Reader(content)
    version, name = reader.number("I"), reader.text()
    if (version, name) != (BINARY_VERSION, "WhisperSpec"):
        raise ValueError(f"not a CTranslate2 Whisper of version {BINARY_VERSION}: {name!r}, version {version}")
    reader.number("I")  # the spec's revision: what it adds are variables, which are checked by name
    variables = {}
    for _ in range(reader.number("I")):
        variable = reader.text()
        shape = [reader.number("I") for _ in range(reader.number("B"))]
        dtype = DTYPES.get(reader.number("B"))
        if dtype is None:
            raise ValueError(f"{variable}: neither a float32, float16 nor an integer variable")
        variables[variable] = np.frombuffer(reader.take(reader.number("I")), dtype).reshape(shape)
    for _ in range(reader.number("I")):
        alias, variable = reader.text(), reader.text()
        variables[alias] = variables[variable]
    if reader.position != len(content):
        raise ValueError(f"{len(content) - reader.position} bytes follow the last variable")
    return variables


def model(
    variables: Mapping[str, np.ndarray], told: Any, tokenizer: WhisperTokenizer
) -> WhisperForConditionalGeneration:
    """The model, in the dtype of the file. `told` is CTranslate2's config.json: alignment heads, suppressed tokens.

    Raises `ValueError` if a variable is missing, left over, or has another shape than Whisper's.
    """
    left = dict(variables)
    config = _config(left, tokenizer)
    try:
        state = _state_dict(left)
    except KeyError as error:
        raise ValueError(f"the variable {error} is missing") from None
    if left:
        raise ValueError(f"{len(left)} variables are not Whisper's: {', '.join(sorted(left)[:3])}")
    with torch.device("meta"):  # no memory and no time for weights that are replaced in the next line
        network = WhisperForConditionalGeneration(config)
    try:
        network.load_state_dict(state, strict=True, assign=True)
    except RuntimeError as error:
        raise ValueError(" ".join(str(error).split())) from None
    network.tie_weights()
    network.config.dtype = network.dtype
    generation: Any = generation_config(tokenizer, told["suppress_ids"], told["suppress_ids_begin"])
    generation.alignment_heads = told["alignment_heads"]
    network.generation_config = generation
    return network.eval()


def token_id(tokenizer: WhisperTokenizer, token: str) -> int:
    """The id of one token; an unknown one has that of <|endoftext|>."""
    return cast(int, tokenizer.convert_tokens_to_ids(token))


def special_ids(tokenizer: WhisperTokenizer) -> dict[str, Any]:
    """The ids that both of a model's configs need, named as there."""
    end_of_text = token_id(tokenizer, "<|endoftext|>")
    return {
        "bos_token_id": end_of_text,
        "eos_token_id": end_of_text,
        "pad_token_id": end_of_text,
        "decoder_start_token_id": token_id(tokenizer, "<|startoftranscript|>"),
    }


def generation_config(tokenizer: WhisperTokenizer, suppress: list[int], suppress_first: list[int]) -> GenerationConfig:
    """What `generate(language=..., task=...)` needs, as published with OpenAI's checkpoints.

    `suppress` are the token ids that are never generated, `suppress_first` those that are not generated first.
    """
    config: Any = GenerationConfig(
        **special_ids(tokenizer),
        suppress_tokens=suppress,
        begin_suppress_tokens=suppress_first,
        max_length=448,
        max_initial_timestamp_index=50,  # steps of 0.02 s: the first words begin within a second
        no_timestamps_token_id=token_id(tokenizer, "<|notimestamps|>"),
        prev_sot_token_id=token_id(tokenizer, "<|startofprev|>"),
        return_timestamps=False,
        is_multilingual=is_multilingual(tokenizer),
    )
    if config.is_multilingual:
        languages = [t for t in tokenizer.get_added_vocab() if re.fullmatch(r"<\|[a-z]{2,3}\|>", t)]
        config.lang_to_id = {token: token_id(tokenizer, token) for token in languages}
        config.task_to_id = {task: token_id(tokenizer, f"<|{task}|>") for task in ("transcribe", "translate")}
    return config


def is_multilingual(tokenizer: WhisperTokenizer) -> bool:
    """OpenAI's English-only checkpoints have GPT-2's vocabulary, which is one token smaller and ends at 50256."""
    return token_id(tokenizer, "<|endoftext|>") > 50256


def _config(left: dict[str, np.ndarray], tokenizer: WhisperTokenizer) -> WhisperConfig:
    """The config that the variables' shapes tell; takes those that are settings from `left`."""
    for name, expected in SETTINGS.items():
        value = left.pop(name, None)
        if value is None or int(value) != expected:
            raise ValueError(f"{name} is {value}, and {expected} in every Whisper")
    try:
        shape = {name: array.shape for name, array in left.items()}
        return WhisperConfig(
            vocab_size=shape["decoder/embeddings/weight"][0],
            d_model=shape["decoder/embeddings/weight"][1],
            num_mel_bins=shape["encoder/conv1/weight"][1],
            max_source_positions=shape["encoder/position_encodings/encodings"][0],
            max_target_positions=shape["decoder/position_encodings/encodings"][0],
            encoder_layers=_n_layers(left, "encoder"),
            decoder_layers=_n_layers(left, "decoder"),
            encoder_attention_heads=int(left.pop("encoder/num_heads")),
            decoder_attention_heads=int(left.pop("decoder/num_heads")),
            encoder_ffn_dim=shape["encoder/layer_0/ffn/linear_0/weight"][0],
            decoder_ffn_dim=shape["decoder/layer_0/ffn/linear_0/weight"][0],
            begin_suppress_tokens=None,  # generation_config.json has them, and transformers wants them in one place
            **special_ids(tokenizer),
        )
    except KeyError as error:
        raise ValueError(f"the variable {error} is missing") from None


def _n_layers(variables: Mapping[str, np.ndarray], part: str) -> int:
    return len({name.split("/")[1] for name in variables if name.startswith(f"{part}/layer_") and name.count("/") > 2})


def _state_dict(left: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """The variables under transformers' names; takes them from `left`, `KeyError` for one that is missing."""
    state: dict[str, np.ndarray] = {}

    def move(source: str, target: str) -> None:
        state[target] = left.pop(source)

    def move_norm(source: str, target: str) -> None:
        move(f"{source}/layer_norm/gamma", f"{target}layer_norm.weight")
        move(f"{source}/layer_norm/beta", f"{target}layer_norm.bias")

    for part in ("encoder", "decoder"):
        for layer in range(_n_layers(left, part)):
            source, target = f"{part}/layer_{layer}", f"model.{part}.layers.{layer}"
            blocks = [("self_attention", "self_attn", SELF_ATTENTION)]
            if part == "decoder":
                blocks.append(("attention", "encoder_attn", CROSS_ATTENTION))
            for theirs, ours, projections in blocks:
                move_norm(f"{source}/{theirs}", f"{target}.{ours}_")
                state |= _attention(left, f"{source}/{theirs}", f"{target}.{ours}", projections)
            move_norm(f"{source}/ffn", f"{target}.final_")
            for i in (0, 1):
                for kind in ("weight", "bias"):
                    move(f"{source}/ffn/linear_{i}/{kind}", f"{target}.fc{i + 1}.{kind}")
        move_norm(part, f"model.{part}.")
        move(f"{part}/position_encodings/encodings", f"model.{part}.embed_positions.weight")
    for convolution in ("conv1", "conv2"):
        for kind in ("weight", "bias"):
            move(f"encoder/{convolution}/{kind}", f"model.encoder.{convolution}.{kind}")
    if not np.shares_memory(left["decoder/projection/weight"], left["decoder/embeddings/weight"]):
        raise ValueError("decoder/projection/weight is not tied to the embeddings, as in every Whisper")
    move("decoder/embeddings/weight", "model.decoder.embed_tokens.weight")
    move("decoder/projection/weight", "proj_out.weight")
    return {name: torch.from_numpy(array.copy()) for name, array in state.items()}


def _attention(left: dict[str, np.ndarray], source: str, target: str, stacked: Stacked) -> dict[str, np.ndarray]:
    """The projections of an attention block, unstacked. Whisper's keys have no bias, so theirs must be zero."""
    state = {}
    for i, names in enumerate(stacked):
        weights = np.split(left.pop(f"{source}/linear_{i}/weight"), len(names))
        biases = np.split(left.pop(f"{source}/linear_{i}/bias"), len(names))
        for name, weight, bias in zip(names, weights, biases, strict=True):
            state[f"{target}.{name}_proj.weight"] = weight
            if name != "k":
                state[f"{target}.{name}_proj.bias"] = bias
            elif bias.any():
                raise ValueError(f"{source}/linear_{i}/bias: the keys have a bias, which no Whisper has")
    return state


class _Reader:
    """A position in the file's bytes."""

    def __init__(self, content: bytes) -> None:
        self.content = memoryview(content)
        self.position = 0

    def take(self, n_bytes: int) -> memoryview:
        self.position += n_bytes
        if self.position > len(self.content):
            raise ValueError(f"the file ends at byte {len(self.content)}, in the middle of a variable")
        return self.content[self.position - n_bytes : self.position]

    def number(self, kind: str) -> int:
        return struct.unpack(f"<{kind}", self.take(struct.calcsize(f"<{kind}")))[0]

    def text(self) -> str:
        """A string: its length with the closing zero byte, then both."""
        return bytes(self.take(self.number("H")))[:-1].decode()
