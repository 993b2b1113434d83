"""Utterances -> shards to be written: which rows go into which shard, and in which order. References only.

The unit is the recording, so that each is opened once. Recordings are ordered by a seeded hash, which mixes languages
and speakers the same way whatever order the corpus has, and cut into shards of about equal source bytes.
"""

import hashlib
import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from asr.manifest import SCHEMA
from asr.utterances import SPLITS, Utterance

SEED = "whisper"  # of the order; a constant, so that an added row moves few others


@dataclass(frozen=True)
class PlannedShard:
    """A shard to be written: its name in the index, and its row group in the plan's file."""

    name: str
    row_group: int


def shards_of(utterances: Iterable[Utterance], shard_mb: float) -> dict[str, list[Utterance]]:
    """Shard name -> its utterances, pieces of one recording side by side in the order of time."""
    recordings: dict[tuple[str, str], list[Utterance]] = defaultdict(list)
    for utterance in utterances:
        assert utterance.split is not None
        recordings[utterance.split, utterance.audio].append(utterance)
    shards: dict[str, list[Utterance]] = {}
    for split in SPLITS:
        pieces = [recordings[key] for key in recordings if key[0] == split]
        pieces.sort(key=lambda recording: _order(recording[0]))
        for number, group in enumerate(_cut(pieces, shard_mb * 1e6)):
            shards[f"{split}/{number:05d}.parquet"] = group
    return shards


def _order(utterance: Utterance) -> str:
    return hashlib.sha256(f"{SEED}\0{utterance.id}".encode()).hexdigest()


def _cut(recordings: list[list[Utterance]], shard_bytes: float) -> list[list[Utterance]]:
    """Recordings, in order, in as many shards as their bytes fill, so that the shards are about equal."""
    sizes = [sum(piece.source_bytes for piece in recording) for recording in recordings]
    n_shards = max(1, math.ceil(sum(sizes) / shard_bytes))
    target_bytes = sum(sizes) / n_shards
    groups: list[list[Utterance]] = [[] for _ in range(n_shards)]
    before = 0
    for recording, size in zip(recordings, sizes, strict=True):
        middle = before + size / 2
        number = min(n_shards - 1, int(middle / target_bytes)) if target_bytes else 0
        groups[number] += sorted(recording, key=lambda piece: (piece.start_s, piece.id))
        before += size
    return [group for group in groups if group]


def write_plan(path: Path, shards: dict[str, list[Utterance]]) -> list[PlannedShard]:
    """A row group a shard, so that a worker reads just its own."""
    with pq.ParquetWriter(path, SCHEMA, compression="zstd") as writer:
        for rows in shards.values():
            columns = {name: [getattr(row, name) for row in rows] for name in SCHEMA.names}
            writer.write_table(pa.table(columns, SCHEMA), row_group_size=len(rows))
    return [PlannedShard(name, row_group) for row_group, name in enumerate(shards)]


def read_planned(path: Path, row_group: int) -> list[Utterance]:
    with pq.ParquetFile(path) as file:
        return [Utterance(**row) for row in file.read_row_group(row_group).to_pylist()]
