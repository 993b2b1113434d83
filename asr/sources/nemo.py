"""NeMo's manifests -> utterances.

JSONL files whose lines have `audio_filepath`, `text` and `duration`, optional `offset`, `lang` and `speaker`
(docs.nvidia.com, NeMo, "Preparing Custom ASR Data"). A file's name says the split: train_manifest.json, dev.jsonl.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from asr.errors import UserError
from asr.params import Data
from asr.sources import files
from asr.sources.guess import mismatch
from asr.sources.layout import Finder, Place, listing_of, places, referred, seconds, sized, split_in, utterance
from asr.sources.layout import listing as _listing
from asr.utterances import Rejected, Utterance


def utterances(data: Data, corpus: Path) -> Iterator[Utterance | Rejected]:
    """A line of the manifests each. Raises `UserError` where there are none, or for audio that lies in archives."""
    yield from sized(_rows(data))


def listing(data: Data) -> Iterator[tuple[str, str]]:
    yield from _listing(data)
    yield from listing_of(sorted({row.audio for row in _rows(data) if isinstance(row, Utterance)}))


def _rows(data: Data) -> Iterator[Utterance | Rejected]:
    manifests = [(place, path) for place in places(data) for path in _manifests(place)]
    root = os.path.commonpath([path.absolute().parent for _, path in manifests])
    for place, path in manifests:
        find = Finder(path.parent)
        for number, row in files.objects(path):
            yield row if isinstance(row, Rejected) else _row(data, place, path, number, row, find, root)


def _manifests(place: Place) -> list[Path]:
    """The file itself, whatever its name, or those of the folder."""
    is_file = place.path.is_file()
    found = [place.path] if is_file else sorted([*place.path.rglob("*.json"), *place.path.rglob("*.jsonl")])
    manifests = [path for path in found if '"audio_filepath"' in next(files.lines(path), (0, ""))[1]]
    if not manifests:
        raise mismatch(place.path, "nemo", "*.json or *.jsonl with audio_filepath")
    return manifests


def _row(
    data: Data, place: Place, path: Path, number: int, row: dict[str, Any], find: Finder, root: str
) -> Utterance | Rejected:
    if "shard_id" in row:
        raise UserError(
            f"data.path: {path} is of a tarred dataset, whose audio lies in archives; "
            "unpack them, and give the manifest that the archives were made from"
        )
    named = row.get("audio_filepath")
    if not isinstance(named, str) or not named:
        return Rejected(f"{path.name}:{number}", "missing audio", "it has no audio_filepath")
    audio = referred(find(named))
    offset = row.get("offset")
    # Paths below what the manifests share, so that two of them may name their files alike.
    name = os.path.relpath(audio, root) if os.path.abspath(audio).startswith(f"{root}/") else audio
    language = row.get("lang") or row.get("language")
    speaker = row.get("speaker")
    return utterance(
        data,
        name if offset is None else f"{name}@{offset}",
        audio,
        str(row.get("text") or ""),
        language=language if isinstance(language, str) else None,
        split=place.split or split_in(path.name),
        speaker=None if speaker is None else str(speaker),
        start_s=0.0 if offset is None else seconds(offset),
        duration_s=None if row.get("duration") is None else seconds(row["duration"]),
        timed=offset is not None and row.get("duration") is not None,
    )
