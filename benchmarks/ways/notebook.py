"""The usual way to Whisper's features, as the well-known fine-tuning notebook goes it: `datasets`' map to Arrow files.

python benchmarks/ways/notebook.py MANIFEST_FOLDER BASE CACHE_FOLDER

Extractor, padding, tokenizer, defaults of map and of its writer are the notebook's. `datasets` 5 decodes with
torchcodec, which needs FFmpeg: here soundfile decodes and librosa resamples, as `datasets` itself did up to version 3.
After https://huggingface.co/blog/fine-tune-whisper, but in one process (no num_proc): the benchmark is of one core.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import librosa
import soundfile
from datasets import Dataset
from transformers import WhisperFeatureExtractor, WhisperTokenizer

from asr.corpora import manifest
from asr.features import RATE_HZ


def main(manifest_folder: Path, base: Path, cache: Path) -> None:
    extractor = WhisperFeatureExtractor.from_pretrained(base)
    # One language, as there: its token in the labels is wrong for other corpora, and costs the same.
    tokenizer = WhisperTokenizer.from_pretrained(base, language="english", task="transcribe")

    def rows() -> Iterator[dict[str, str]]:
        for row in manifest.read(manifest_folder):
            yield {"audio": row.audio, "sentence": row.text}

    def prepare_dataset(row: dict[str, Any]) -> dict[str, Any]:
        samples, rate_hz = soundfile.read(row["audio"], dtype="float32")
        array = librosa.resample(librosa.to_mono(samples.T), orig_sr=rate_hz, target_sr=RATE_HZ)
        row["input_features"] = extractor(array, sampling_rate=RATE_HZ).input_features[0]
        row["labels"] = tokenizer(row["sentence"]).input_ids
        return row

    dataset = Dataset.from_generator(rows, cache_dir=str(cache))
    dataset.map(prepare_dataset, remove_columns=dataset.column_names)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
