"""The shards of a split -> what the plan of an epoch needs to know of its rows, and the clips that an epoch takes.

A clip is a row in the encoder window, and with the labels, that an epoch gives it.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from asr.features import MAX_FRAMES
from asr.loading.blocks import REQUESTS, Block, Shards
from asr.loading.sampling import draw_rows, draw_timed, draw_windows
from asr.models.whisper import window_frames
from asr.params import SpecAugment

RowNumbers = NDArray[np.int64]


@dataclass(frozen=True)
class Lengths:
    """What the plan of an epoch needs to know of a split: its blocks, and a few numbers of each row."""

    blocks: list[Block]
    n_frames: NDArray[np.int32]
    n_labels: NDArray[np.int32]
    languages: NDArray[np.int32]  # numbered in the order of their names
    timed: NDArray[np.bool_]


@dataclass(frozen=True)
class Sampling:
    """What training does to the rows, as in params.yaml's section train; by default nothing.

    `no_timestamps` is the checkpoint's id of that token, `max_labels` its decoder's positions.
    """

    random_window: bool = False
    language_temperature: float = 1.0
    timestamps: float = 0.0
    spec_augment: SpecAugment = field(default_factory=SpecAugment)
    no_timestamps: int = -1
    max_labels: int = 448


AS_THEY_ARE = Sampling()


@dataclass(frozen=True)
class Drawn:
    """The clips of an epoch: of each its row (ascending; some may come twice), its window in frames, its labels."""

    rows: RowNumbers
    windows: NDArray[np.int32]
    n_labels: NDArray[np.int32]


def read_lengths(shards: Shards) -> Lengths:
    """In the order of the index; reads of each row these few numbers only."""
    first_rows = np.cumsum([0, *(entry.rows for entry in shards.entries)]).tolist()
    with ThreadPoolExecutor(REQUESTS if shards.is_remote else 1) as threads:
        found = list(threads.map(lambda shard: _rows_of(shards, shard, first_rows[shard]), range(len(shards.entries))))
    languages = np.concatenate([np.empty(0, str), *(columns["language"] for _, columns in found)])
    return Lengths(
        [block for blocks, _ in found for block in blocks],
        np.concatenate([np.empty(0, np.int32), *(columns["n_frames"] for _, columns in found)]),
        np.concatenate([np.empty(0, np.int32), *(columns["n_labels"] for _, columns in found)]),
        np.unique(languages, return_inverse=True)[1].astype(np.int32),
        np.concatenate([np.empty(0, np.bool_), *(columns["timed"] for _, columns in found)]),
    )


def _rows_of(shards: Shards, shard: int, first_row: int) -> tuple[list[Block], dict[str, NDArray[np.generic]]]:
    blocks = shards.blocks(shard, first_row)
    table = pa.concat_tables(shards.read(block, ["n_frames", "labels", "language", "timed"]) for block in blocks)
    return blocks, {
        "n_frames": table["n_frames"].to_numpy(),
        "n_labels": pc.list_value_length(table["labels"]).to_numpy(),
        "language": table["language"].to_numpy().astype(str),
        "timed": table["timed"].to_numpy(),
    }


def windows_of(n_frames: NDArray[np.int32], window_s: int) -> NDArray[np.int32]:
    """`window_frames` of each clip."""
    table = np.array([window_frames(n, window_s) for n in range(MAX_FRAMES + 1)], dtype=np.int32)
    return table[n_frames]


def draw_times(lengths: Lengths, sampling: Sampling, seed: int | None) -> NDArray[np.bool_]:
    """Which rows are labelled with their times, the same in every epoch."""
    if seed is None or not sampling.timestamps:
        return np.zeros(len(lengths.timed), np.bool_)
    return draw_timed(lengths.timed, lengths.n_labels, sampling.timestamps, seed, sampling.max_labels)


def draw(
    lengths: Lengths,
    windows: NDArray[np.int32],
    with_times: NDArray[np.bool_],
    sampling: Sampling,
    seed: tuple[int, int] | None,
    weights: NDArray[np.float64] | None = None,
) -> Drawn:
    """The clips of an epoch, as many of each window in all of them; `windows` are each row's own.

    `weights` say how often a row comes beside others (None: all alike); without a seed, 0 or once.
    """
    n_labels = lengths.n_labels + with_times.astype(np.int32)
    drawn = np.arange(len(windows))
    if seed is None:
        drawn = drawn if weights is None else np.flatnonzero(weights)
    elif sampling.language_temperature != 1 or weights is not None:
        drawn = draw_rows(lengths.languages, windows, sampling.language_temperature, seed, weights)
    widths = windows[drawn]
    if seed is not None and sampling.random_window:
        widths = draw_windows(widths, seed)
    return Drawn(drawn, widths, n_labels[drawn])
