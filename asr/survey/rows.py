"""The shards of all splits -> columns of `N` rows, and what is measured of each; log-Mel is never read."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from asr.corpora.splits import normalised
from asr.shards import Index, read_columns_of
from asr.utterances import SPLITS

Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]

NAMES = ("id", "language", "speaker", "text", "trained_text", "digest")
LEVELS = ("duration_s", "peak", "rms", "clipped_share", "head_rms", "tail_rms")
SILENCE_DB = -120.0  # what a level of zero counts as


@dataclass(frozen=True)
class Rows:
    """A row of all splits each: names as lists, levels as `(N,)`; `split` as a place in `SPLITS`."""

    names: dict[str, list[Any]]
    levels: dict[str, Numbers]
    split: NDArray[np.int8]
    n_labels: Numbers

    def __len__(self) -> int:
        return len(self.split)

    def of(self, name: str) -> list[Any]:
        return self.names[name]

    @cached_property
    def languages(self) -> NDArray[np.str_]:
        return np.array(self.names["language"], np.str_)

    @cached_property
    def text_keys(self) -> list[tuple[str, str]]:
        """What rows of one text share: language, and text without case, punctuation and spacing."""
        return [*zip(self.names["language"], map(normalised, self.names["text"]), strict=True)]

    @cached_property
    def n_characters(self) -> Numbers:
        return np.array([len(text) for text in self.names["trained_text"]], np.float64)

    @cached_property
    def characters_a_second(self) -> Numbers:
        return self.n_characters / np.maximum(self.levels["duration_s"], 1e-3)

    @cached_property
    def rms_db(self) -> Numbers:
        return decibels(self.levels["rms"])

    @cached_property
    def edge_db(self) -> Numbers:
        """The louder end of each clip beside all of it."""
        edge = np.maximum(self.levels["head_rms"], self.levels["tail_rms"])
        return decibels(edge / np.maximum(self.levels["rms"], 1e-9))

    def in_split(self, name: str) -> Flags:
        return self.split == SPLITS.index(name)

    def groups(self) -> Iterator[tuple[str, Flags]]:
        """The rows of each language, by its code."""
        for code in np.unique(self.languages).tolist():
            yield code, self.languages == code


def decibels(levels: Numbers) -> Numbers:
    """Levels as shares of full scale, or of others."""
    return 20 * np.log10(np.maximum(levels, 10 ** (SILENCE_DB / 20)))


def read(features: Path, index: Index, suffixes: Sequence[str] = ()) -> Rows:
    """Of the shards that `index` lists, which lie in `features` where it says "."; copies, whose ids end in one of
    `suffixes`, are left out.
    """
    index = replace(index, root=str(features)) if index.root == "." else index
    tables = [_table(index, split, tuple(suffixes)) for split in SPLITS]
    whole = pa.concat_tables(tables)
    return Rows(
        {name: whole[name].to_pylist() for name in NAMES},
        {name: whole[name].to_numpy().astype(np.float64) for name in LEVELS},
        np.repeat(np.arange(len(SPLITS), dtype=np.int8), [len(table) for table in tables]),
        whole["n_labels"].to_numpy().astype(np.float64),
    )


def _table(index: Index, split: str, suffixes: tuple[str, ...]) -> pa.Table:
    table = read_columns_of(index, split, [*NAMES, *LEVELS, "labels"])
    labels = table["labels"]
    table = table.drop_columns("labels").append_column("n_labels", pc.list_value_length(labels))
    if suffixes:
        table = table.filter(pa.array([not name.endswith(suffixes) for name in table["id"].to_pylist()], pa.bool_()))
    return table
