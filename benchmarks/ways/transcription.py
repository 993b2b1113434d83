"""A checkpoint and recordings -> OUT_JSON: what one tool hears in them, by the recording's path, and how long it takes.

python benchmarks/ways/transcription.py WAY MODEL RECORDINGS_JSON OUT_JSON

RECORDINGS_JSON is a list of [path, language]. All decode the files themselves, one after the other as people call them
(ours takes all of them), greedily, in the language that is given. Loading the model and a recording to warm up are not
timed. openai-whisper, transformers' pipeline and faster-whisper get samples, so that none of them needs ffmpeg.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

RATE_HZ = 16_000
Recording: TypeAlias = tuple[str, str]  # path, language
Hear: TypeAlias = Callable[[Sequence[Recording]], Iterator[tuple[str, str]]]  # path, text


def main(way: str, model: str, recordings: str, out: str) -> None:
    wanted = [(path, language) for path, language in json.loads(Path(recordings).read_text())]
    hear = WAYS[way](Path(model))
    list(hear(wanted[:1]))
    started_s = time.perf_counter()
    texts = dict(hear(wanted))
    wall_s = time.perf_counter() - started_s
    Path(out).write_text(json.dumps({"wall_s": wall_s, "texts": texts}, ensure_ascii=False), encoding="utf-8")


def ours(engine: str, precision: str) -> Callable[[Path], Hear]:
    def load(model: Path) -> Hear:
        from asr.transcription import engines
        from asr.transcription.recordings import Transcriber
        from asr.transcription.transcript import Transcript

        loaded = engines.load(model, engine, precision)  # type: ignore[arg-type]

        def hear(recordings: Sequence[Recording]) -> Iterator[tuple[str, str]]:
            for language in dict.fromkeys(language for _, language in recordings):
                paths = [path for path, other in recordings if other == language]
                for path, heard in Transcriber(loaded, language).transcripts(paths):
                    assert isinstance(heard, Transcript), heard
                    yield path, heard.text

        return hear

    return load


def faster_whisper(compute_type: str) -> Callable[[Path], Hear]:
    def load(model: Path) -> Hear:
        from ctranslate2.converters import TransformersConverter
        from faster_whisper import WhisperModel

        with tempfile.TemporaryDirectory() as folder:
            taken = ["tokenizer.json", "preprocessor_config.json"]
            TransformersConverter(str(model), copy_files=taken).convert(folder, force=True)
            loaded = WhisperModel(folder, "cpu", compute_type=compute_type, cpu_threads=_n_threads())

        def hear(recordings: Sequence[Recording]) -> Iterator[tuple[str, str]]:
            for path, language in recordings:
                segments, _ = loaded.transcribe(_samples(path), language=language, beam_size=1)
                yield path, " ".join(segment.text.strip() for segment in segments)

        return hear

    return load


def pipeline(model: Path) -> Hear:
    import torch
    import transformers

    torch.set_num_threads(_n_threads())
    loaded: Any = transformers.pipeline("automatic-speech-recognition", str(model), dtype=torch.float32)

    def hear(recordings: Sequence[Recording]) -> Iterator[tuple[str, str]]:
        for path, language in recordings:
            sound = {"raw": _samples(path), "sampling_rate": RATE_HZ}
            long = len(sound["raw"]) > 30 * RATE_HZ
            asked = {"language": language, "task": "transcribe"}
            yield path, loaded(sound, generate_kwargs=asked, return_timestamps=long)["text"].strip()

    return hear


def openai(model: Path) -> Hear:
    import torch
    import whisper
    from transformers import WhisperForConditionalGeneration

    torch.set_num_threads(_n_threads())
    network = WhisperForConditionalGeneration.from_pretrained(model, dtype=torch.float32)
    config = network.config
    sizes = whisper.ModelDimensions(
        n_mels=config.num_mel_bins,
        n_audio_ctx=config.max_source_positions,
        n_audio_state=config.d_model,
        n_audio_head=config.encoder_attention_heads,
        n_audio_layer=config.encoder_layers,
        n_vocab=config.vocab_size,
        n_text_ctx=config.max_target_positions,
        n_text_state=config.d_model,
        n_text_head=config.decoder_attention_heads,
        n_text_layer=config.decoder_layers,
    )
    loaded = whisper.Whisper(sizes)
    loaded.load_state_dict({_name_at_openai(name): weight for name, weight in network.model.state_dict().items()})
    loaded.eval()

    def hear(recordings: Sequence[Recording]) -> Iterator[tuple[str, str]]:
        for path, language in recordings:
            yield path, whisper.transcribe(loaded, _samples(path), language=language, fp16=False)["text"].strip()

    return hear


# In this order: what a name has in transformers, and at openai/whisper.
RENAMED = {
    "embed_positions.weight": "positional_embedding",
    "embed_tokens": "token_embedding",
    "encoder_attn_layer_norm": "cross_attn_ln",
    "encoder_attn": "cross_attn",
    "self_attn_layer_norm": "attn_ln",
    "self_attn": "attn",
    "final_layer_norm": "mlp_ln",
    "layers": "blocks",
    "q_proj": "query",
    "k_proj": "key",
    "v_proj": "value",
    "out_proj": "out",
    "fc1": "mlp.0",
    "fc2": "mlp.2",
    "encoder.layer_norm": "encoder.ln_post",
    "decoder.layer_norm": "decoder.ln",
}


def _name_at_openai(name: str) -> str:
    for theirs, other in RENAMED.items():
        name = name.replace(theirs, other)
    return name


def _samples(path: str) -> NDArray[np.float32]:
    samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    resampled: NDArray[np.float32] = soxr.resample(samples.mean(axis=1), rate_hz, RATE_HZ)
    return resampled


def _n_threads() -> int:
    return len(os.sched_getaffinity(0))


WAYS: dict[str, Callable[[Path], Hear]] = {
    "ours": ours("torch", "float32"),
    "ours-ctranslate2": ours("ctranslate2", "float32"),
    "ours-int8": ours("ctranslate2", "int8"),
    "faster-whisper": faster_whisper("float32"),
    "faster-whisper-int8": faster_whisper("int8"),
    "pipeline": pipeline,
    "openai": openai,
}


if __name__ == "__main__":
    main(*sys.argv[1:])
