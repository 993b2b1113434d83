"""The audiofolder layout of the `datasets` library -> utterances.

metadata.csv or metadata.jsonl, in the folder itself or in one for each split, has a column `file_name`, relative to it,
and the text; optional `language` and `speaker`.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from asr.errors import UserError
from asr.params import Data
from asr.sources import files
from asr.sources.guess import fitting, mismatch
from asr.sources.layout import Place, listing, places, sized, split_in, split_of_folders, utterance
from asr.utterances import Rejected, Utterance

__all__ = ["listing", "utterances"]

# Nothing says what the columns are called; these are what they are called most.
TEXTS = ("transcription", "text", "sentence", "transcript")
SPEAKERS = ("speaker", "speaker_id", "client_id")
LANGUAGES = ("language", "locale")


def utterances(data: Data, corpus: Path) -> Iterator[Utterance | Rejected]:
    """A row of the metadata each, with its path as id. Raises `UserError` where there is none, or no text in it."""
    for place in places(data):
        tables = sorted([*place.path.rglob("metadata.csv"), *place.path.rglob("metadata.jsonl")])
        tables = [path for path in tables if fitting(path) == "audiofolder"]
        if not tables:
            raise mismatch(place.path, "audiofolder", "metadata.csv or metadata.jsonl with file_name")
        for table in tables:
            yield from sized(_rows(data, place, table))


def _rows(data: Data, place: Place, table: Path) -> Iterator[Utterance | Rejected]:
    read = files.comma_separated(table, ["file_name"]) if table.suffix == ".csv" else files.objects(table)
    text_column = ""
    for number, row in read:
        if isinstance(row, Rejected):
            yield row
            continue
        text_column = text_column or _text_column(table, list(row))
        cells = {name: str(value) for name, value in row.items() if value is not None and value != ""}
        if "file_name" not in cells:
            yield Rejected(f"{table.name}:{number}", "missing audio", "it has no file_name")
            continue
        audio = table.parent / cells["file_name"]
        name = os.path.relpath(audio, place.path)
        yield utterance(
            data,
            place.prefix + name,
            audio,
            cells.get(text_column, ""),
            language=_first(cells, LANGUAGES),
            split=place.split or (split_in(cells["split"]) if "split" in cells else split_of_folders(name)),
            speaker=_first(cells, SPEAKERS),
        )


def _text_column(table: Path, present: list[str]) -> str:
    """Raises `UserError` where none is called as texts are, or more than one."""
    found = [name for name in TEXTS if name in present]
    if len(found) == 1:
        return found[0]
    why = f"columns {' and '.join(found)}, which both may be the text" if found else f"no column {' or '.join(TEXTS)}"
    raise UserError(
        f"data.path: {table} has {why}, but {', '.join(present)}; "
        f"use data.source: table with data.table: {{path: {table}, columns: {{audio: file_name, text: ...}}}}"
    )


def _first(cells: dict[str, str], names: Sequence[str]) -> str | None:
    return next((cells[name] for name in names if name in cells), None)
