"""Features on disk: Parquet shards of compressed log-Mel and labels, and the index that lists them.

`index.json` is written last: where it lies, the features are whole. Axes: `M` mel bins, `T` frames, `L` labels.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from asr import storage
from asr.errors import UserError
from asr.features import HOP, RATE_HZ

FORMAT = 1
# Counts what changes the bytes of shards: formula, codec, columns, text rules, order. Golden hashes guard it.
FEATURES_VERSION = 5
ROWS_PER_GROUP = 64
ZSTD_LEVEL = 3

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("log_mel", pa.binary()),  # (M, T), C order, as the codec writes it
        ("n_frames", pa.int32()),  # T
        ("labels", pa.list_(pa.int32())),  # (L,)
        ("text", pa.string()),  # as the corpus has it
        ("trained_text", pa.string()),  # after the declared rules
        ("language", pa.string()),
        ("duration_s", pa.float32()),
        ("timed", pa.bool_()),  # the corpus says that the words begin and end with the clip
        ("speaker", pa.string()),
        ("source", pa.string()),  # the corpus of a mixture
        ("peak", pa.float32()),
        ("rms", pa.float32()),
        ("clipped_share", pa.float32()),
        ("head_rms", pa.float32()),  # of the first 0.05 s
        ("tail_rms", pa.float32()),  # of the last
        ("digest", pa.string()),  # of the samples: equal audio, whatever its file
    ]
)


@dataclass(frozen=True)
class ShardEntry:
    """A shard as the index knows it; `name` is relative to the index' root."""

    name: str
    rows: int
    frames: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Index:
    """All shards of a corpus. `root` is where they lie: "." beside the index, or a URI."""

    fingerprint: str
    n_mels: int
    codec: str
    splits: dict[str, list[ShardEntry]]
    root: str = "."
    rejected: int = 0
    tokenizer: str = ""  # sha256 of the tokenizer.json that the labels are of; empty where that is not known
    format: int = FORMAT
    features_version: int = FEATURES_VERSION
    hop: int = HOP
    rate_hz: int = RATE_HZ

    def rows(self, split: str) -> int:
        return sum(entry.rows for entry in self.splits.get(split, []))


def write_index(folder: Path, index: Index) -> None:
    part = folder / "index.json.part"
    part.write_text(json.dumps(asdict(index), indent=1, sort_keys=True) + "\n", encoding="utf-8")
    os.replace(part, folder / "index.json")


def read_index(folder: Path) -> Index:
    """The index in `folder`; its root is `folder` where the shards lie there.

    Raises `UserError` where there is none, or of another format.
    """
    path = folder / "index.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; the features are not finished: run `dvc repro preprocess`") from None
    if content.get("format") != FORMAT:
        raise UserError(f"{path} has format {content.get('format')}, not {FORMAT}; run `dvc repro -f preprocess`")
    splits = {name: [ShardEntry(**entry) for entry in entries] for name, entries in content.pop("splits").items()}
    index = Index(**content, splits=splits)
    return index if index.root != "." else Index(**{**content, "root": str(folder)}, splits=splits)


def encode_log_mel(mel: NDArray[np.float32], codec: str) -> bytes:
    """`(M, T)` -> bytes.

    float16: little-endian, C order. uint8: the clip's minimum and step as little-endian float32, then each bin's level
    as the difference from the frame before, modulo 256, which compresses better; read back within half a step.
    """
    if codec == "float16":
        return mel.astype("<f2").tobytes()
    low = np.float32(mel.min())
    step = np.float32(max(float(mel.max()) - float(low), 1e-6) / 255)
    levels = np.rint((mel - low) / step).clip(0, 255).astype(np.uint8)
    differences = np.diff(levels, axis=1, prepend=np.uint8(0))
    return np.array([low, step], "<f4").tobytes() + differences.tobytes()


def decode_log_mel(data: bytes, n_mels: int, codec: str) -> NDArray[np.float32]:
    """What `encode_log_mel` wrote -> float32 `(M, T)`."""
    if codec == "float16":
        return np.frombuffer(data, "<f2").reshape(n_mels, -1).astype(np.float32)
    low, step = np.frombuffer(data, "<f4", count=2)
    differences = np.frombuffer(data, np.uint8, offset=8).reshape(n_mels, -1)
    return low + step * np.cumsum(differences, axis=1, dtype=np.uint8).astype(np.float32)


class ShardWriter:
    """Writes rows of `SCHEMA` in row groups that a loader can take in any order; whole or not at all.

    A context manager: where the block ends well and had rows, the file appears as `name` in `root`, a folder or URI,
    and `entry` describes it.
    """

    def __init__(self, root: str | Path, name: str, n_mels: int, codec: str) -> None:
        self.name, self.codec = name, codec
        self._target = storage.join(root, name)
        # A part lies beside its target, so that the target appears at once; that of an object store is uploaded.
        folder = Path(tempfile.gettempdir()) if storage.is_remote(root) else Path(self._target).parent
        self._part = folder / f"{name.replace('/', '-')}.{os.getpid()}.part"
        self._metadata = {"format": FORMAT, "n_mels": n_mels, "codec": codec, "hop": HOP, "rate_hz": RATE_HZ}
        self._rows: list[dict[str, Any]] = []
        self._n_rows = self._n_frames = 0
        self.entry: ShardEntry | None = None

    def __enter__(self) -> Self:
        self._part.parent.mkdir(parents=True, exist_ok=True)
        self._writer = pq.ParquetWriter(
            self._part,
            SCHEMA.with_metadata({key: str(value) for key, value in self._metadata.items()}),
            compression="zstd",
            compression_level=ZSTD_LEVEL,
            use_dictionary=["language", "speaker", "source"],
            write_statistics=False,
            write_page_checksum=True,
        )
        return self

    def write(self, row: dict[str, Any]) -> None:
        """`row` has the columns of `SCHEMA`, with `log_mel` still float32 `(M, T)`."""
        n_t = row["log_mel"].shape[1]
        self._rows.append({**row, "n_frames": n_t, "log_mel": encode_log_mel(row["log_mel"], self.codec)})
        self._n_rows += 1
        self._n_frames += n_t
        if len(self._rows) == ROWS_PER_GROUP:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_table(pa.Table.from_pylist(self._rows, SCHEMA))
            self._rows = []

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._flush()
            self._writer.close()
            if kind is None and self._n_rows:
                size_bytes, sha256 = self._part.stat().st_size, sha256_of(self._part)
                storage.put(self._part, self._target)
                self.entry = ShardEntry(self.name, self._n_rows, self._n_frames, size_bytes, sha256)
        finally:
            self._part.unlink(missing_ok=True)


def read_examples(folder: str | Path, split: str) -> Iterator[dict[str, Any]]:
    """The rows of a split, in the order of the shards, with `log_mel` decoded to float32 `(M, T)`."""
    index = read_index(Path(folder))
    for entry in index.splits.get(split, []):
        with storage.open_read(storage.join(index.root, entry.name)) as source:
            for batch in pq.ParquetFile(source, page_checksum_verification=True).iter_batches(ROWS_PER_GROUP):
                for row in batch.to_pylist():
                    yield {**row, "log_mel": decode_log_mel(row["log_mel"], index.n_mels, index.codec)}


def read_first(uri: str | Path, n_mels: int, codec: str) -> list[dict[str, Any]]:
    """The rows of a shard's first row group, with `log_mel` decoded to float32 `(M, T)`."""
    with storage.open_read(uri) as source, pq.ParquetFile(source) as file:
        rows = file.read_row_group(0).to_pylist()
    return [{**row, "log_mel": decode_log_mel(row["log_mel"], n_mels, codec)} for row in rows]


def read_columns(folder: Path, split: str, columns: list[str]) -> pa.Table:
    """Some of the columns of a split, in the order of the shards."""
    return read_columns_of(read_index(folder), split, columns)


def read_columns_of(index: Index, split: str, columns: list[str]) -> pa.Table:
    """The same of the shards below the root of `index`."""
    tables = []
    for entry in index.splits.get(split, []):
        uri = storage.join(index.root, entry.name)
        with storage.explained(uri, needed=True), open_shard(uri) as shard:
            tables.append(shard.read(columns))
    return pa.concat_tables(tables) if tables else pa.schema([SCHEMA.field(name) for name in columns]).empty_table()


def open_shard(uri: str) -> pq.ParquetFile:
    """A shard of which some columns or row groups are wanted; what lies together in an object is one request."""
    if storage.is_remote(uri):
        return pq.ParquetFile(storage.open_parts(uri), pre_buffer=True)
    return pq.ParquetFile(uri)


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hours(folder: Path, split: str) -> float:
    """Hours of speech in a split."""
    return sum(read_columns(folder, split, ["duration_s"])["duration_s"].to_pylist()) / 3600
