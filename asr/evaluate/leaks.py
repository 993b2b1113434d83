"""The test split's predictions and the train split's rows -> the texts and speakers that are on both sides."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from asr.corpora.splits import normalised
from asr.evaluate.predictions import Prediction
from asr.shards import read_columns

TextKey = tuple[str, str]  # a language, and a text of it without case, punctuation and spacing


@dataclass(frozen=True)
class Leak:
    """What a test set shares with train: texts as `text_key` gives them, and speakers."""

    texts: frozenset[TextKey]
    speakers: frozenset[str]


def text_key(language: str, text: str) -> TextKey:
    """What is the same text: as the splits are cut (`splits.normalised`), so that a cut by text leaks none."""
    return language, normalised(text)


def find_leak(features: Path, predictions: Sequence[Prediction], weights: NDArray[np.float64] | None = None) -> Leak:
    """What the predictions share with the rows of train, of which only three columns are read.

    Rows whose weight is 0 were not trained on; None: all were.
    """
    texts = {text_key(row.language, row.reference) for row in predictions}
    speakers = {row.speaker for row in predictions if row.speaker is not None}
    train = read_columns(features, "train", ["language", "text", "speaker"])
    if weights is not None:
        train = train.filter(pa.array(weights > 0))
    distinct = train.group_by(["language", "text"]).aggregate([])
    trained = zip(distinct["language"].to_pylist(), distinct["text"].to_pylist(), strict=True)
    return Leak(
        frozenset(texts.intersection(text_key(language, text) for language, text in trained)),
        frozenset(speakers.intersection(train["speaker"].unique().to_pylist())),
    )


def count_leak(predictions: Sequence[Prediction], leak: Leak) -> dict[str, int]:
    """How many texts and speakers the test set has, and how many of them are in train too."""
    texts = {text_key(row.language, row.reference) for row in predictions}
    speakers = {row.speaker for row in predictions if row.speaker is not None}
    return {
        "n_texts": len(texts),
        "n_texts_in_train": len(texts & leak.texts),
        "n_speakers": len(speakers),
        "n_speakers_in_train": len(speakers & leak.speakers),
    }
