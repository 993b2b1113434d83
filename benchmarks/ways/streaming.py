"""Padded float32 features, an Arrow file of `datasets`, streamed, shuffled, and padded by the notebook's collator.

PYTHONPATH=benchmarks python benchmarks/ways/streaming.py FEATURES OUT_FILE

After https://huggingface.co/blog/fine-tune-whisper, streaming as `datasets` documents it for torch.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from datasets import load_dataset
from lib.timing import BATCH_SIZE, timed
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader
from transformers import WhisperFeatureExtractor

SHUFFLE_BUFFER = 100  # clips, 1 MB each; the usual 500 cost no less CPU a clip


def main(features: Path, out: Path) -> None:
    torch.set_num_threads(1)
    extractor = WhisperFeatureExtractor()

    def collate(rows: list[dict[str, Any]]) -> Any:
        batch = extractor.pad([{"input_features": row["input_features"]} for row in rows], return_tensors="pt")
        labels = [torch.as_tensor(row["labels"]) for row in rows]
        batch["labels"] = pad_sequence(labels, batch_first=True, padding_value=-100)
        return batch

    files = [str(path) for path in sorted(features.glob("*.arrow"))]
    rows = load_dataset("arrow", data_files=files, split="train", streaming=True).with_format("torch")
    loader = DataLoader(rows.shuffle(seed=1, buffer_size=SHUFFLE_BUFFER), batch_size=BATCH_SIZE, collate_fn=collate)
    out.write_text(json.dumps(timed(len(batch["labels"]) for batch in loader)))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
