"""A checkpoint and features -> OUT_JSON: what one way hears in the test clips, by the clip's id, and how long it takes.

python benchmarks/ways/hearing.py WAY SETTING MODEL FEATURES OUT_JSON

WAY and SETTING: ours WINDOW_S:PRECISION, generate DTYPE (transformers', at 30 s), ctranslate2 COMPUTE_TYPE (at 30 s).
All take the same batches of 16, greedily. Loading the model and a batch to warm up are not timed, reading the clips is.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

import ctranslate2
import numpy as np
import torch
from ctranslate2.converters import TransformersConverter
from transformers import WhisperForConditionalGeneration, WhisperTokenizer

from asr.evaluate.decode import BATCH_SIZE, decode_batch, load
from asr.evaluate.prompts import is_multilingual, prefix_of
from asr.loading.batches import Batch, EpochBatches
from asr.models.checkpoints import load_model
from asr.models.device import best_device, keep_freed_memory, resolve_precision
from asr.models.whisper import MAX_WINDOW_S, WindowedWhisper

Hear: TypeAlias = Callable[[Batch], Sequence[Sequence[int]]]  # tokens of each clip


def main(way: str, setting: str, model: str, features: str, out: str) -> None:
    network = load_model(Path(model), WindowedWhisper).eval()
    window_s, hear = WAYS[way](Path(model), network, setting)
    pad_id = network.config.pad_token_id
    batches = EpochBatches(Path(features), "test", batch_size=BATCH_SIZE, window_s=window_s, pad_id=pad_id)
    hear(next(iter(batches)))
    started_s = time.perf_counter()
    heard = {name: tokens for batch in batches for name, tokens in zip(batch["ids"], hear(batch), strict=True)}
    wall_s = time.perf_counter() - started_s
    texts = WhisperTokenizer.from_pretrained(model).batch_decode(list(heard.values()), skip_special_tokens=True)
    hypotheses = dict(zip(heard, (text.strip() for text in texts), strict=True))
    content = {"clips": len(heard), "wall_s": wall_s, "hypotheses": hypotheses}
    Path(out).write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def ours(model: Path, network: WindowedWhisper, setting: str) -> tuple[int, Hear]:
    window_s, precision = setting.split(":")
    dtype = resolve_precision(precision)
    ready = load(model, dtype)
    keep_freed_memory()
    return int(window_s), lambda batch: decode_batch(ready, batch, dtype)


def generate(model: Path, network: WindowedWhisper, setting: str) -> tuple[int, Hear]:
    dtype = {"float32": torch.float32, "bf16": torch.bfloat16}[setting]
    stock = WhisperForConditionalGeneration.from_pretrained(model, dtype=dtype).eval().to(best_device())
    languages = {number: name for name, number in getattr(network.generation_config, "lang_to_id", {}).items()}

    def hear(batch: Batch) -> Sequence[Sequence[int]]:
        features = batch["input_features"].to(stock.device, dtype)
        if not is_multilingual(network):
            return stock.generate(features).tolist()
        spoken = [languages[number] for number in batch["decoder_input_ids"][:, 1].tolist()]
        return stock.generate(features, language=spoken, task="transcribe").tolist()

    return MAX_WINDOW_S, hear


def of_ctranslate2(model: Path, network: WindowedWhisper, setting: str) -> tuple[int, Hear]:
    n_threads = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        TransformersConverter(str(model)).convert(folder, force=True)
        whisper = ctranslate2.models.Whisper(folder, compute_type=setting, intra_threads=n_threads)

    def hear(batch: Batch) -> Sequence[Sequence[int]]:
        features = ctranslate2.StorageView.from_array(np.ascontiguousarray(batch["input_features"].numpy()))
        prompts = prefix_of(network, batch["decoder_input_ids"]).tolist()
        return [result.sequences_ids[0] for result in whisper.generate(features, prompts, beam_size=1)]

    return MAX_WINDOW_S, hear


WAYS = {"ours": ours, "generate": generate, "ctranslate2": of_ctranslate2}


if __name__ == "__main__":
    main(*sys.argv[1:])
