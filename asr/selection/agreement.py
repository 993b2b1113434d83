"""The base checkpoint and the train split -> `data/agreement`: what it hears in each utterance, and how much differs.

After the filter of distil-whisper (Gandhi et al. 2023, https://arxiv.org/abs/2311.00430, section 4): text that a good
recogniser hears otherwise is often not what was said. Shards are heard one by one, and what is heard is kept, so that a
killed run goes on where it was.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from asr.evaluate.decode import Listener
from asr.evaluate.edits import edits
from asr.evaluate.normalize import normalize, written_without_spaces
from asr.models.whisper import MAX_WINDOW_S
from asr.progress import say, track
from asr.selection.heard import HEARD, SCHEMA
from asr.shards import Index, ShardEntry, read_columns, read_index, sha256_of, write_index

SPLIT = "train"


def hear(base: Path, features: Path, folder: Path, work: Path, precision: str, suffixes: Sequence[str]) -> None:
    """Writes what `base` hears at 30 s in the train rows, but in copies, whose ids end in one of `suffixes`.

    What is done of it stays in `work` until all is. Raises `UserError` as `Listener` does.
    """
    index = read_index(features)
    listener = Listener.of(base, precision)
    done = work / _key(base, index, listener)
    entries = index.splits.get(SPLIT, [])
    missing = [entry for entry in entries if not _part(done, entry).exists()]
    if len(missing) < len(entries):
        say(f"agreement: {len(entries) - len(missing):,} of {len(entries):,} shards were heard before")
    for number, entry in enumerate(missing, 1):
        table = _heard_in(listener, index, entry, done, suffixes, f"base hears shard {number} of {len(missing)}")
        part = _part(done, entry)
        pq.write_table(table, part.with_suffix(".part"), compression="zstd")
        os.replace(part.with_suffix(".part"), part)
    tables = [pq.read_table(_part(done, entry)) for entry in entries]
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.concat_tables([SCHEMA.empty_table(), *tables]), folder / HEARD, compression="zstd")


def _heard_in(
    listener: Listener, index: Index, entry: ShardEntry, done: Path, suffixes: Sequence[str], description: str
) -> pa.Table:
    """The rows of one shard, as if the features were that shard alone."""
    alone = done / "shard"
    alone.mkdir(parents=True, exist_ok=True)
    root = index.root if "://" in index.root else str(Path(index.root).resolve())
    write_index(alone, replace(index, root=root, splits={SPLIT: [entry]}))
    rows = read_columns(alone, SPLIT, ["id", "language", "trained_text"]).to_pylist()
    weights = np.array([not row["id"].endswith(tuple(suffixes)) for row in rows], np.float64)
    batches = listener.batches(alone, SPLIT, MAX_WINDOW_S, weights)
    heard = listener.hear(track(batches, description, total=len(batches)))
    return compared([row for row in rows if row["id"] in heard], heard)


def compared(rows: Sequence[dict[str, str]], heard: dict[str, str]) -> pa.Table:
    """Rows with `id`, `language` and `trained_text`, and what was heard in them -> a table of `SCHEMA`, in their order.

    Both are normalised. Words are counted, and characters where a language has no spaces.
    """
    counts = np.zeros((len(rows), 4))
    for by_character in (False, True):
        chosen = [n for n, row in enumerate(rows) if written_without_spaces(row["language"]) == by_character]
        said = [normalize(rows[n]["trained_text"], rows[n]["language"]) for n in chosen]
        found = [normalize(heard[rows[n]["id"]], rows[n]["language"]) for n in chosen]
        counts[chosen] = edits(said, found, by_character)
    columns = {
        "id": [row["id"] for row in rows],
        "hypothesis": [heard[row["id"]] for row in rows],
        "errors": counts[:, :3].sum(axis=1).astype(np.int32),
        "units": counts[:, 3].astype(np.int32),
    }
    return pa.table(columns, SCHEMA)


def _part(done: Path, entry: ShardEntry) -> Path:
    return done / f"{entry.name.replace('/', '-')}.heard"


def _key(base: Path, index: Index, listener: Listener) -> str:
    """Names the work by what determines it."""
    determining = {
        "base": {str(path.relative_to(base)): sha256_of(path) for path in sorted(base.rglob("*")) if path.is_file()},
        "shards": [entry.sha256 for entry in index.splits.get(SPLIT, [])],
        "dtype": str(listener.dtype),
    }
    return hashlib.sha256(json.dumps(determining, sort_keys=True).encode()).hexdigest()[:16]
