"""Mozilla's Common Voice, a release as it is downloaded -> utterances.

A folder for each language (`cv-corpus-17.0-2024-03-15/hi`) with train.tsv, dev.tsv, test.tsv, validated.tsv and, by
release, reported.tsv and clip_durations.tsv; the MP3s are in its folder `clips`. Or the archive of such a folder.
"""

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from asr import params
from asr.errors import UserError
from asr.sources import files
from asr.sources.archives import is_archive, unpack
from asr.sources.guess import fitting, mismatch
from asr.sources.layout import Place, listing, places, seconds, sized, split_in, utterance
from asr.utterances import Rejected, Seconds, Split, Utterance

__all__ = ["listing", "utterances"]

NEEDED = ("client_id", "path", "sentence", "up_votes", "down_votes")
TABLES = {"release": ("train.tsv", "dev.tsv", "test.tsv"), "validated": ("validated.tsv",)}
BESIDES = ("reported.tsv", "clip_durations.tsv")


def utterances(data: params.Data, corpus: Path) -> Iterator[Utterance | Rejected]:
    """A row of the release's splits (or of validated.tsv, to be cut) each; an archive's clips go to `corpus`.

    What was reported, or has too few votes, is rejected. Raises `UserError` where there is no release.
    """
    for place in places(data):
        root = _unpacked(place.path, corpus, data) if is_archive(place.path) else place.path
        for folder in _languages(root, place.path, data):
            yield from sized(_rows(data, place, folder))


def _languages(root: Path, given: Path, data: params.Data) -> list[Path]:
    """The folder of the one language, or of each, which may lie in the release's."""
    tables = TABLES[data.common_voice.splits]
    for pattern in ("", "*", "*/*"):
        folders = [root] if not pattern else sorted(root.glob(pattern))
        if found := [folder for folder in folders if _is_clips(folder / tables[0])]:
            return found
    raise mismatch(given, "common_voice", f"LANGUAGE/{tables[0]} with a column client_id")


def _unpacked(archive: Path, corpus: Path, data: params.Data) -> Path:
    """The archive's tables and then only the clips that they name, because most of a release is not validated."""
    folder = corpus / archive.name.partition(".tar")[0]
    tables = {*TABLES[data.common_voice.splits], *BESIDES}
    folder.mkdir(parents=True, exist_ok=True)
    unpack(archive, folder, lambda name: PurePosixPath(name).name in tables, "tables")
    used = {
        _file_name(row["path"])
        for language in _languages(folder, archive, data)
        for table in TABLES[data.common_voice.splits]
        for _, row in _table(language / table)
        if not isinstance(row, Rejected)
    }
    unpack(archive, folder, lambda name: PurePosixPath(name).name in used, "clips")
    return folder


def _rows(data: params.Data, place: Place, folder: Path) -> Iterator[Utterance | Rejected]:
    choices = data.common_voice
    durations_s = _durations_s(folder / "clip_durations.tsv")
    reported = {} if choices.keep_reported else _reported(folder / "reported.tsv")
    for table in TABLES[choices.splits]:
        split = place.split or split_in(table.removesuffix(".tsv"))  # "validated" is none
        for _, row in _table(folder / table):
            yield row if isinstance(row, Rejected) else _row(data, folder, row, split, durations_s, reported)


def _row(
    data: params.Data,
    folder: Path,
    row: dict[str, str],
    split: Split | None,
    durations_s: dict[str, Seconds],
    reported: dict[str, str],
) -> Utterance | Rejected:
    file_name = _file_name(row["path"])
    name = PurePosixPath(file_name).stem
    sentence = _unescaped(row["sentence"])
    why = reported.get(row.get("sentence_id", "")) or reported.get(sentence)
    if why:
        return Rejected(name, "reported", why)
    votes = seconds(row["up_votes"]) - seconds(row["down_votes"])
    if votes < data.common_voice.min_votes:
        return Rejected(name, "too few votes", f"{row['up_votes']} for it, {row['down_votes']} against")
    return utterance(
        data,
        name,
        folder / "clips" / file_name,
        sentence,
        language=row.get("locale") or folder.absolute().name,
        within=folder,
        split=split,
        speaker=row["client_id"] or None,
        duration_s=durations_s.get(file_name),
    )


def _is_clips(path: Path) -> bool:
    return path.is_file() and fitting(path) == "common_voice"


def _table(path: Path) -> Iterator[tuple[int, dict[str, str] | Rejected]]:
    """Raises `UserError` where it is missing."""
    if not path.is_file():
        raise UserError(f"data.path: {path} is missing from the release; unpack all of it, or give its archive")
    return files.tab_separated(path, NEEDED)


def _file_name(path: str) -> str:
    """The first releases leave the ending out."""
    return path if PurePosixPath(path).suffix else f"{path}.mp3"


def _unescaped(sentence: str) -> str:
    """As meant by CorporaCreator, whose pandas doubles a quote, and puts such a sentence in quotes in some releases."""
    quoted = '""' in sentence[1:-1] and re.fullmatch(r'"(?:[^"]|"")*"', sentence)
    return (sentence[1:-1] if quoted else sentence).replace('""', '"')


def _durations_s(path: Path) -> dict[str, Seconds]:
    """File name -> duration, where the release has a clip_durations.tsv; a clip of no length has none."""
    if not path.is_file():
        return {}
    rows = (row for _, row in files.tab_separated(path, ["clip", "duration[ms]"]) if not isinstance(row, Rejected))
    durations_s = ((row["clip"], seconds(row["duration[ms]"]) / 1000) for row in rows)
    return {clip: duration_s for clip, duration_s in durations_s if duration_s > 0}


def _reported(path: Path) -> dict[str, str]:
    """Sentence, and its id, -> what people reported of it; the clips' tables have ids from release 17 on."""
    if not path.is_file():
        return {}
    reported: dict[str, str] = {}
    for _, row in files.tab_separated(path, ["sentence", "sentence_id", "reason"]):
        if not isinstance(row, Rejected):
            why = row["reason"] or "without a reason"
            reported |= {row["sentence_id"]: why, _unescaped(row["sentence"]): why}
    reported.pop("", None)
    return reported
