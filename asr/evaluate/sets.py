"""`evaluate.sets`, further test sets -> what DVC compares of them, the rows of each, and features made elsewhere."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path

from asr.clips.tokens import TOKENIZER
from asr.errors import UserError
from asr.params import TestSet
from asr.shards import Index, read_index, sha256_of, write_index
from asr.sources import mixture
from asr.utterances import Rejected, Utterance


def listing(sets: Mapping[str, TestSet]) -> Iterator[tuple[str, str]]:
    """A `(name, version)` pair for each file outside the project that the sets consist of."""
    for name, chosen in sets.items():
        if chosen.features is not None:
            index = Path(chosen.features) / "index.json"
            files: Iterable[tuple[str, str]] = [(str(index), sha256_of(index) if index.is_file() else "missing")]
        else:
            files = mixture.listing(chosen)
        yield from ((f"{name} {file}", version) for file, version in files)


def as_test(rows: Iterable[Utterance | Rejected]) -> Iterator[Utterance | Rejected]:
    """The rows that a corpus calls test; all of its rows, where it calls none so. The rejects are kept."""
    kept = list(rows)
    with_test = {row.source for row in kept if isinstance(row, Utterance) and row.split == "test"}
    for row in kept:
        if isinstance(row, Rejected):
            yield row
        elif row.split == "test" or row.source not in with_test:
            yield replace(row, split="test")


def adopt(name: str, features: Path, base: Path, folder: Path) -> None:
    """Writes an index into `folder` whose test split is that of `features`, where the shards stay.

    Raises `UserError` unless `features` has a test split that the checkpoint in `base` can hear.
    """
    index, ours = read_index(features), f"evaluate.sets.{name}"
    if not index.rows("test"):
        raise UserError(f"{ours}: {features} has no test rows; name a corpus that has, as a source")
    if index.tokenizer and index.tokenizer != sha256_of(base / TOKENIZER):
        raise UserError(f"{ours}: {features} has the labels of another tokenizer than model.checkpoint's")
    folder.mkdir(parents=True)
    root = index.root if "://" in index.root else str(Path(index.root).resolve())
    write_index(folder, Index(**{**asdict(index), "root": root, "splits": {"test": index.splits["test"]}}))
