"""A dataset as `datasets` writes it, in a directory or on the hub -> utterances that refer to the audio embedded in it.

Parquet, or the Arrow files of `save_to_disk`; the audio's column is struct<bytes, path>, bytes, or a path. No audio is
read or copied: an utterance names a file, a block of its rows and a row, which is read when its shard is written.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from asr import params, storage
from asr.corpora.splits import split_named
from asr.errors import UserError
from asr.params import HuggingFace
from asr.sources import dataset_hub
from asr.sources.embedded import Chosen, Rows, choose, open_rows
from asr.sources.layout import listing_of, sized, split_in, utterance
from asr.sources.repository import README, Files, files_by_split, tables_among
from asr.utterances import SPLITS, Block, Rejected, Split, Utterance


@dataclass(frozen=True)
class Dataset:
    """One configuration of a dataset."""

    root: str  # a directory, or the hf:// URI of a commit
    files: dict[str, Split | None]  # name -> split; None where the splits are to be cut
    commit: str | None  # the hub's

    def uri(self, name: str) -> str:
        return storage.join(self.root, name)


def utterances(data: params.Data, corpus: Path) -> Iterator[Utterance | Rejected]:
    """A row of the dataset each, in its order.

    Raises `UserError` if there is no such dataset, configuration, split or column, or a file is damaged.
    """
    choices = data.huggingface
    dataset = find(choices, fetch=not choices.stream)
    has_ids = _has_ids(dataset, choices)
    for name, split in dataset.files.items():
        uri = dataset.uri(name)
        n_before = 0
        with open_rows(uri, partial(choose, columns=choices.columns, path=uri)) as (chosen, blocks):
            for rows in blocks:
                names = rows.texts("id") if has_ids else [None] * len(rows.paths)
                ids = [given or f"{name}:{n}" for n, given in enumerate(names, n_before)]
                made = _utterances(rows, ids, split, uri, chosen, data)
                yield from sized(made) if rows.cell_bytes is None else made
                n_before += len(ids)


def listing(data: params.Data) -> Iterator[tuple[str, str]]:
    """Each file, and the audio that it names instead of embedding it, with bytes and time of change; of the hub its
    files, with the commit."""
    dataset = find(data.huggingface, fetch=False)
    if dataset.commit is not None:
        yield from ((name, dataset.commit) for name in dataset.files)
        return
    yield from listing_of(map(dataset.uri, dataset.files))
    for uri in map(dataset.uri, dataset.files):
        with open_rows(uri, partial(choose, columns=data.huggingface.columns, path=uri)) as (_, blocks):
            for rows in takewhile(lambda rows: rows.cell_bytes is None, blocks):
                yield from listing_of(_named(path, uri) for path in rows.paths if path)


def find(choices: HuggingFace, fetch: bool) -> Dataset:
    """The configuration that is chosen; `fetch` brings its files from the hub into the cache. Raises `UserError`."""
    path = str(choices.path)
    folder = Path(path).expanduser()
    if folder.is_dir():
        if choices.revision is not None:
            raise UserError(f"data.huggingface.revision: {path} is a directory, which has none; set null")
        return _in_folder(choices, folder, commit=None)
    if not re.fullmatch(r"[\w-][\w.-]*(/[\w.-]+)?", path):
        raise UserError(f"data.huggingface.path: there is no directory {path}, and no dataset's id looks like that")
    try:
        commit = dataset_hub.commit_of(path, choices.revision)
    except dataset_hub.OutOfReach as why:
        cached = dataset_hub.cached(path, choices.revision)
        if cached is None or not tables_among(list(storage.below(cached))):
            raise UserError(
                f"data.huggingface.path: there is no directory {path}, and the hub is out of reach ({why}); is there a "
                "network?"
            ) from None
        dataset = _in_folder(choices, cached, commit=cached.name)
        dataset_hub.check_cached(path, choices.revision, list(dataset.files))
        return dataset
    has_readme = README in commit.files
    readme = _read(commit.fetch([README]) / README) if has_readme else ""
    files = _with_splits(choices, commit.files, readme)
    if not fetch:
        return Dataset(commit.uri, files, commit.sha)
    return Dataset(str(commit.fetch([*files, *([README] if has_readme else [])])), files, commit.sha)


def _in_folder(choices: HuggingFace, folder: Path, commit: str | None) -> Dataset:
    readme = folder / README
    files = _with_splits(choices, list(storage.below(folder)), _read(readme) if readme.exists() else "")
    return Dataset(os.path.abspath(folder).removeprefix(os.path.join(os.getcwd(), "")), files, commit)


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def _with_splits(choices: HuggingFace, names: list[str], readme: str) -> dict[str, Split | None]:
    """The files that are used, each with our name of its split. Raises `UserError` where there are none."""
    if not tables_among(names):
        kinds = ", ".join(sorted({os.path.splitext(name)[1] for name in names} - {"", ".md"})) or "nothing"
        raise UserError(
            f"data.huggingface.path: {choices.path} has no Parquet, but {kinds}; use the data.source that fits, or "
            "on the hub data.huggingface.revision: refs/convert/parquet"
        )
    files = files_by_split(names, readme, choices.config)
    if choices.splits:
        return _as_declared(choices, files)
    if files.keys() == {"train"}:
        return dict.fromkeys(files["train"])
    ours = {theirs: split_named(theirs) for theirs in files}
    if not any(ours.values()):
        ours = {theirs: split_in(theirs) for theirs in files}
    if not any(ours.values()):
        raise UserError(
            f"data.huggingface.splits: {choices.path} has {', '.join(files)}, none of which is train, validation or "
            f"test; set data.huggingface.splits: {{train: {next(iter(files), '...')}}}"
        )
    return {name: split for theirs, split in ours.items() if split for name in files[theirs]}


def _as_declared(choices: HuggingFace, files: Files) -> dict[str, Split | None]:
    found: dict[str, Split | None] = {}
    for split in SPLITS:
        given = choices.splits.get(split, [])
        for theirs in [given] if isinstance(given, str) else given:
            if theirs not in files:
                raise UserError(
                    f"data.huggingface.splits.{split}: {choices.path} has no split {theirs!r}, but {', '.join(files)}"
                )
            found |= dict.fromkeys(files[theirs], split)
    return found


def _has_ids(dataset: Dataset, choices: HuggingFace) -> bool:
    """Whether the column of ids is to be believed: it is declared, or there and has no value twice (FLEURS' has)."""
    if "id" in choices.columns:
        return True
    parts: list[pa.Array] = []
    for uri in map(dataset.uri, dataset.files):
        with open_rows(uri, partial(choose, columns=choices.columns, path=uri)) as (chosen, blocks):
            if "id" not in chosen:
                return False
            parts += [rows.batch["id"] for rows in blocks]
    ids = pa.chunked_array(parts)
    return ids.null_count == 0 and pc.count_distinct(ids).as_py() == len(ids)


def _utterances(
    rows: Rows, ids: list[str], split: Split | None, uri: str, chosen: Chosen, data: params.Data
) -> Iterator[Utterance | Rejected]:
    """Those of some rows; the bytes of files that are only named are not known yet."""
    block = str(Block(uri, rows.block, chosen["audio"]))
    texts, languages, speakers = (rows.texts(ours) for ours in ("text", "language", "speaker"))
    cells = zip(ids, texts, languages, speakers, rows.paths, strict=True)
    for row, (name, text, language, speaker, path) in enumerate(cells, rows.first):
        made = partial(utterance, data, name, text=text or "", language=language, split=split, speaker=speaker)
        if rows.cell_bytes is not None:
            yield made(audio=block, row=row, source_bytes=rows.cell_bytes)
        elif path:
            yield made(audio=_named(path, uri))
        else:
            yield Rejected(name, "missing audio", "the dataset has neither bytes nor a path of it")


def _named(path: str, uri: str) -> str:
    """A file that the dataset does not embed: from the working directory, as `datasets` has it, or from its own."""
    if storage.is_remote(path) or os.path.isabs(path) or os.path.exists(path):
        return path
    return storage.join(os.path.dirname(uri), path)
