"""Manifest -> `plan.parquet`: which rows go into which shard, in which order, a row group a shard. References only.

The unit is the recording (or the block of rows that embeds some), so that each is opened once. Recordings are ordered
by a seeded hash, which mixes languages and speakers the same way whatever order the corpus has, and cut into shards of
about equal source bytes. In memory are some 60 bytes for each row, whatever its text.
"""

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from asr.corpora import manifest
from asr.errors import UserError
from asr.params import Audio
from asr.storage import open_parts
from asr.stores import explained
from asr.utterances import SPLITS, Utterance

SEED = "whisper"  # of the order; a constant, so that an added row moves few others
SCHEMA = manifest.SCHEMA.append(pa.field("speed", pa.float64())).append(pa.field("augment", pa.string()))
ROWS_IN_MEMORY = 250_000  # while they are sorted; more are sorted in parts

Numbers = NDArray[np.int64]


class Copy(NamedTuple):
    """How a train utterance is changed; its id gets the suffix."""

    suffix: str
    speed: float
    augment: str | None


ITSELF = Copy("", 1.0, None)


@dataclass(frozen=True)
class PlannedShard:
    """A shard to be written: its name in the index, its row group in the plan's file, and what it is made of."""

    name: str
    row_group: int
    n_rows: int
    source_bytes: int

    @property
    def split(self) -> str:
        return self.name.partition("/")[0]


def copies_of(audio: Audio) -> list[Copy]:
    """What becomes of a train utterance: itself first, then its copies."""
    speeds = [Copy(f"~{speed:g}", speed, None) for speed in sorted(audio.speeds) if speed != 1.0]
    return [ITSELF, *speeds, *(Copy(f"~{kind}", 1.0, kind) for kind in sorted(audio.augment))]


def write_plan(
    path: Path, manifest_folder: Path, shard_mb: float, copies: Sequence[Copy] = (ITSELF,)
) -> list[PlannedShard]:
    """The shards of a manifest, with `copies` of each train utterance; equal for every order of the manifest's rows.

    Raises `UserError` where an id could be that of a copy.
    """
    _check_ids(manifest_folder, copies)
    columns = _Columns.read(manifest_folder)
    place, shard, names = _arrange(columns, shard_mb * 1e6, len(copies))
    planned: list[PlannedShard] = []
    with pq.ParquetWriter(path, SCHEMA, compression="zstd") as writer:
        for number, rows in _sorted_rows(manifest_folder, place, shard):
            rows = _with_copies(rows, copies if names[number].startswith("train/") else [ITSELF])
            writer.write_table(rows, row_group_size=len(rows))
            source_bytes = pc.sum(rows["source_bytes"]).as_py()
            planned.append(PlannedShard(names[number], len(planned), len(rows), source_bytes))
    return planned


def read_planned(path: str | Path, row_group: int) -> list[Utterance]:
    """The rows of one shard, from a plan on this machine or in an object store."""
    with explained(path, needed=True), open_parts(path) as source, pq.ParquetFile(source, pre_buffer=True) as file:
        return [Utterance(**row) for row in file.read_row_group(row_group).to_pylist()]


def _check_ids(manifest_folder: Path, copies: Sequence[Copy]) -> None:
    """Raises `UserError` for an id that ends as a copy's does, which two rows might have then."""
    suffixes = tuple(copy.suffix for copy in copies if copy.suffix)
    if suffixes:
        for batch in _batches(manifest_folder, ["id"]):
            for name in batch["id"].to_pylist():
                if name.endswith(suffixes):
                    raise UserError(f"id {name!r} ends as those of copies do ({', '.join(suffixes)}); rename it")


class _Columns(NamedTuple):
    """What decides a row's place."""

    hashed_id: NDArray[np.uint64]
    recording: NDArray[np.uint64]  # a hash of split and audio
    split: NDArray[np.int8]  # place in SPLITS
    row: NDArray[np.int32]  # of embedded audio; -1 else
    start_s: NDArray[np.float64]
    size_bytes: Numbers

    @classmethod
    def read(cls, manifest_folder: Path) -> "_Columns":
        names = ["id", "audio", "split", "row", "start_s", "source_bytes"]
        parts = [cls._of(batch) for batch in _batches(manifest_folder, names)]
        return cls(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    @classmethod
    def _of(cls, batch: pa.RecordBatch) -> "_Columns":
        ids, audio, splits = (batch[name].to_pylist() for name in ("id", "audio", "split"))
        return cls(
            np.array([_hash(SEED, name) for name in ids], np.uint64),
            np.array([_hash(split, name) for split, name in zip(splits, audio, strict=True)], np.uint64),
            np.array([SPLITS.index(split) for split in splits], np.int8),
            batch["row"].fill_null(-1).to_numpy(),
            batch["start_s"].to_numpy(),
            batch["source_bytes"].to_numpy(),
        )


def _hash(seed: str, name: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"{seed}\0{name}".encode(), digest_size=8).digest(), "little")


def _arrange(columns: _Columns, shard_bytes: float, n_copies: int) -> tuple[Numbers, Numbers, list[str]]:
    """For each row its place in the plan and the number of its shard; and the shards' names."""
    _, first, recording = np.unique(columns.recording, return_index=True, return_inverse=True)
    key = np.full(len(first), np.iinfo(np.uint64).max, np.uint64)
    np.minimum.at(key, recording, columns.hashed_id)
    size_bytes = np.bincount(recording, columns.size_bytes).astype(np.float64)
    split = columns.split[first]
    shard = np.empty(len(first), np.int64)
    names: list[str] = []
    for number, name in enumerate(SPLITS):
        members = np.flatnonzero(split == number)
        members = members[np.argsort(key[members], kind="stable")]
        source_bytes = shard_bytes / (n_copies if name == "train" else 1)
        used, group = np.unique(_cut(size_bytes[members], source_bytes), return_inverse=True)
        shard[members] = len(names) + group
        names += [f"{name}/{position:05d}.parquet" for position in range(len(used))]
    place = np.empty(len(recording), np.int64)
    # Within a shard by recording (or block of rows), within a recording by time.
    order = (columns.hashed_id, columns.start_s, columns.row, key[recording], shard[recording])
    place[np.lexsort(order)] = np.arange(len(place))
    return place, shard[recording], names


def _cut(size_bytes: NDArray[np.float64], shard_bytes: float) -> Numbers:
    """The number of the shard of each recording, in order: as many as their bytes fill, about equal in size."""
    if not size_bytes.sum():
        return np.zeros(len(size_bytes), np.int64)
    n_shards = int(np.ceil(size_bytes.sum() / shard_bytes))
    middle = np.cumsum(size_bytes) - size_bytes / 2
    return np.minimum(n_shards - 1, middle / (size_bytes.sum() / n_shards)).astype(np.int64)


def _sorted_rows(manifest_folder: Path, place: Numbers, shard: Numbers) -> Iterator[tuple[int, pa.Table]]:
    """Each shard's number and its rows in order. Rows are dealt into parts of whole shards, sorted one by one."""
    rows_before_shard = np.concatenate([[0], np.cumsum(np.bincount(shard))])
    part_of_shard = rows_before_shard[:-1] // ROWS_IN_MEMORY
    schema = manifest.SCHEMA.append(pa.field("place", pa.int64()))
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{part}.parquet" for part in range(int(part_of_shard[-1]) + 1)]
        with ExitStack() as stack:
            writers = [stack.enter_context(pq.ParquetWriter(path, schema)) for path in paths]
            n_read = 0
            for batch in _batches(manifest_folder):
                read = slice(n_read, n_read + len(batch))
                rows = pa.Table.from_batches([batch]).append_column("place", pa.array(place[read]))
                parts = part_of_shard[shard[read]]
                for part in np.unique(parts):
                    writers[part].write_table(rows.filter(pa.array(parts == part)))
                n_read += len(batch)
        for part, path in enumerate(paths):
            rows = pq.read_table(path).sort_by("place").drop_columns("place")
            shards = np.flatnonzero(part_of_shard == part)
            offset = rows_before_shard[shards[0]] if len(shards) else 0
            for number in shards.tolist():
                first, end = rows_before_shard[number] - offset, rows_before_shard[number + 1] - offset
                yield number, rows.slice(first, end - first)


def _with_copies(rows: pa.Table, copies: Sequence[Copy]) -> pa.Table:
    """Each row followed by its copies, with the columns that say what they are."""
    n = len(rows)
    repeated = rows.take(np.repeat(np.arange(n), len(copies)))
    suffix, speed, augment = (list(column) * n for column in zip(*copies, strict=True))
    ids = pc.binary_join_element_wise(repeated["id"], pa.array(suffix), "")
    repeated = repeated.set_column(0, SCHEMA.field("id"), ids)
    repeated = repeated.append_column("speed", pa.array(speed, pa.float64()))
    return repeated.append_column("augment", pa.array(augment, pa.string())).cast(SCHEMA)


def _batches(manifest_folder: Path, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    with pq.ParquetFile(manifest_folder / manifest.MANIFEST) as file:
        yield from file.iter_batches(columns=columns)
