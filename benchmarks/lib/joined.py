"""Clips of any length -> features of clips that all have one length: our shards, links to them, and the notebook's."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import cycle, groupby, islice
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
from datasets import Dataset
from datasets.arrow_writer import ArrowWriter

from asr.clips.tokens import Labeller
from asr.features import MAX_FRAMES, RATE_HZ, log_mel, pad_log_mel
from asr.shards import Index, ShardEntry, ShardWriter, read_examples, read_index, write_index
from asr.utterances import Utterance

ROWS_PER_SHARD = 256


def rows_of(clips: Sequence[Utterance], base: Path, clip_s: float, n_rows: int) -> Iterator[dict[str, Any]]:
    """Rows for `ShardWriter`: the clips of a language joined, and cut every `clip_s` seconds.

    The labels are those of the texts that begin in a piece. All over again where there are too few.
    """
    labeller = Labeller(base)
    pieces = list(islice(_pieces(sorted(clips, key=lambda clip: clip.language), clip_s), n_rows))
    for number, (language, texts, samples) in enumerate(islice(cycle(pieces), n_rows)):
        labels = labeller.labels(" ".join(texts), language)
        yield {
            "id": f"{number:06d}",
            "log_mel": log_mel(samples, labeller.front_end.n_mels),
            "labels": labels[: labeller.front_end.max_labels],
            "text": " ".join(texts),
            "trained_text": " ".join(texts),
            "language": language,
            "duration_s": clip_s,
            "timed": False,
            "peak": float(np.abs(samples).max()),
            "digest": f"{number:06d}",
        }


def _pieces(clips: Sequence[Utterance], clip_s: float) -> Iterator[tuple[str, list[str], np.ndarray]]:
    """Language, texts and samples."""
    n_samples = round(clip_s * RATE_HZ)
    for language, of_language in groupby(clips, key=lambda clip: clip.language):
        texts: list[str] = []
        joined = np.empty(0, np.float32)
        for clip in of_language:
            samples, rate_hz = soundfile.read(clip.audio, dtype="float32", always_2d=True)
            joined = np.concatenate([joined, soxr.resample(samples.mean(axis=1), rate_hz, RATE_HZ)])
            texts.append(clip.text)
            while len(joined) >= n_samples:
                yield language, texts, joined[:n_samples]
                joined, texts = joined[n_samples:], []


def write_shards(folder: Path, rows: Sequence[dict[str, Any]], codec: str) -> Index:
    entries = []
    for number, first in enumerate(range(0, len(rows), ROWS_PER_SHARD)):
        with ShardWriter(folder, f"train/{number:05d}.parquet", len(rows[0]["log_mel"]), codec) as shard:
            for row in rows[first : first + ROWS_PER_SHARD]:
                shard.write(row)
        assert shard.entry
        entries.append(shard.entry)
    index = Index("0" * 16, len(rows[0]["log_mel"]), codec, {"train": entries})
    write_index(folder, index)
    return index


def link_shards(features: Path, folder: Path, n_clips: int) -> None:
    """Features of `n_clips` (up to a shard more), whose shards are those of `features` again and again."""
    index = read_index(features)
    entries: list[ShardEntry] = []
    for number, entry in enumerate(cycle(index.splits["train"])):
        if sum(linked.rows for linked in entries) >= n_clips:
            break
        entries.append(replace(entry, name=f"train/{number:05d}.parquet"))
        path = folder / entries[-1].name
        path.parent.mkdir(parents=True, exist_ok=True)
        os.link(features / entry.name, path)
    write_index(folder, replace(index, root=".", splits={"train": entries}))


def write_padded(features: Path, folder: Path, n_clips: int) -> None:
    """The first clips as the notebook's `map` leaves them: an Arrow file of float32 lists padded to 30 s."""
    folder.mkdir(parents=True)
    schema = Dataset.from_list([{"input_features": [[np.float32(0)]], "labels": [0]}]).features
    with ArrowWriter(features=schema, path=str(folder / "padded.arrow"), writer_batch_size=100) as writer:
        for row in islice(read_examples(features, "train"), n_clips):
            writer.write({"input_features": pad_log_mel(row["log_mel"], MAX_FRAMES), "labels": row["labels"]})
        writer.finalize()
