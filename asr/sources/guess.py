"""A folder or file that is not of the declared layout -> the error that says so, with the source that would fit."""

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from asr.errors import UserError
from asr.sources.archives import is_archive
from asr.sources.files import lines

LOOKED_AT = 5_000  # files, of a large corpus

_BY_NAME = {
    "wav.scp": "kaldi",
    "dataset_info.json": "huggingface",
    "dataset_infos.json": "huggingface",
}
_BY_ENDING = {
    ".trans.txt": "librispeech",
    "aishell_transcript_v0.8.txt": "aishell",
    ".parquet": "huggingface",
    ".arrow": "huggingface",
    ".srt": "subtitles",
    ".vtt": "subtitles",
    ".textgrid": "subtitles",
}
# What the first line of a text file holds; the earlier, the surer.
_BY_CONTENT = (
    (".tsv", "client_id", "common_voice"),
    (".csv", "file_name", "audiofolder"),
    ("metadata.csv", "|", "ljspeech"),
    (".jsonl", '"file_name"', "audiofolder"),
    (".jsonl", '"audio_filepath"', "nemo"),
    (".json", '"audio_filepath"', "nemo"),
    (".jsonl", '"recording', "lhotse"),
    (".jsonl.gz", '"recording', "lhotse"),
    (".jsonl.gz", '"sources"', "lhotse"),
    (".jsonl", '"sources"', "lhotse"),
    (".tsv", ".wav\t", "fleurs"),
)


def mismatch(path: Path, source: str, wanted: str) -> UserError:
    """`wanted` is what was looked for in `path`."""
    if path.is_file() and fitting(path) == source:
        return UserError(f"data.path: {path} is a file; data.source {source} needs the folder of all: {path.parent}")
    if is_archive(path) and source != "common_voice":
        return UserError(f"data.path: {path} is an archive; unpack it (tar -xf {path}), and give the folder")
    found = list(islice(_files(path), LOOKED_AT))
    names = sorted({str(each.relative_to(path)) if each != path else each.name for each in found[:100]})
    shown = f"but {', '.join(names[:4])}{' ...' if len(found) > 4 else ''}" if names else "nor any other file"
    fits = next((name for each in found if (name := fitting(each)) and name != source), None)
    remedy = f"data.source: {fits} reads that" if fits else "docs/corpora.md shows the layouts that are read"
    return UserError(f"data.path: in {path} is no {wanted}, as data.source {source} needs, {shown}; {remedy}")


def fitting(path: Path) -> str | None:
    """The source that reads a file; None if it could be of any."""
    name = path.name.casefold()
    by_name = _BY_NAME.get(name) or next((each for end, each in _BY_ENDING.items() if name.endswith(end)), None)
    if by_name:
        return by_name
    if name.endswith((".tar.gz", ".tar")) and is_archive(path):
        return "fleurs" if path.parent.name == "audio" else None
    candidates = [(sign, source) for end, sign, source in _BY_CONTENT if name.endswith(end)]
    if not candidates:
        return None
    try:
        first = next(lines(path), (0, ""))[1]
    except (OSError, UserError):
        return None
    return next((source for sign, source in candidates if sign in first), None)


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    for folder, folders, names in os.walk(path):
        folders.sort()
        yield from (Path(folder, name) for name in sorted(names))
