"""Kaldi's data directories (kaldi-asr.org/doc/data_prep.html) -> utterances.

wav.scp says where recordings are, text what is said; optional segments (pieces of recordings), utt2spk, utt2lang,
utt2dur and reco2dur. A directory's name says the split: train_clean_5, dev, test.
"""

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from asr.errors import UserError
from asr.params import Data
from asr.sources import files
from asr.sources.guess import mismatch
from asr.sources.layout import Finder, Place, listing_of, places, seconds, sized, split_in, utterance
from asr.sources.layout import listing as _listing
from asr.utterances import Rejected, Seconds, Utterance

LENGTHS = ("reco2dur", "utt2dur")
TO_THE_END = -1  # as the end of a segment


class Segment(NamedTuple):
    """A piece of a recording; a duration of None is the rest of it."""

    recording: str
    start_s: Seconds
    duration_s: Seconds | None


def utterances(data: Data, corpus: Path) -> Iterator[Utterance | Rejected]:
    """A line of `text` each. Raises `UserError` where there is none, or for recordings that a command would write."""
    yield from sized(_rows(data))


def listing(data: Data) -> Iterator[tuple[str, str]]:
    yield from _listing(data)
    yield from listing_of(sorted({row.audio for row in _rows(data) if isinstance(row, Utterance)}))


def _rows(data: Data) -> Iterator[Utterance | Rejected]:
    for place in places(data):
        folders = sorted(path.parent for path in place.path.rglob("wav.scp") if (path.parent / "text").is_file())
        if not folders:
            raise mismatch(place.path, "kaldi", "wav.scp with a file text beside it")
        for folder in folders:
            yield from _directory(data, place, folder)


def _directory(data: Data, place: Place, folder: Path) -> Iterator[Utterance | Rejected]:
    find = Finder(folder)
    recordings = {name: find(audio) for name, audio in _recordings(folder / "wav.scp").items()}
    lengths_s = {name: seconds(length) for file in LENGTHS for name, length in _mapping(folder / file).items()}
    if (folder / "segments").is_file():
        segments = _segments(folder / "segments")
    else:
        segments = {name: Segment(name, 0.0, lengths_s.get(name)) for name in recordings}
    speakers, languages = _mapping(folder / "utt2spk"), _mapping(folder / "utt2lang")
    for _, line in files.lines(folder / "text"):
        name, text = _first_word(line)
        segment = segments.get(name)
        if segment is None or segment.recording not in recordings:
            detail = (
                f"{folder}: no recording {segment.recording}" if segment else f"{folder}: neither segment nor recording"
            )
            yield Rejected(name, "missing audio", detail)
            continue
        yield utterance(
            data,
            name,
            recordings[segment.recording],
            text,
            language=languages.get(name),
            split=place.split or split_in(folder.absolute().name),
            speaker=speakers.get(name),
            start_s=segment.start_s,
            duration_s=segment.duration_s,
            # The whole of a recording says nothing of when its words are spoken.
            timed=segment.duration_s is not None and segment.duration_s < lengths_s.get(segment.recording, math.inf),
        )


def _recordings(path: Path) -> dict[str, str]:
    """Raises `UserError` for a line that is a command, or refers to a piece of an archive."""
    found: dict[str, str] = {}
    for number, line in files.lines(path):
        name, audio = _first_word(line)
        here = f"data.path: {path}, line {number}: {audio[:80]!r}"
        if audio.endswith("|") or audio.startswith("|"):
            raise UserError(
                f"{here} is a command, and none is run here; "
                "write its output to a file once, as docs/corpora.md shows, and name that"
            )
        if re.search(r"\.ark:\d+$", audio):
            raise UserError(
                f"{here} is a piece of an archive, which is not read here; write files with wav-copy, and name those"
            )
        found.setdefault(name, audio)
    return found


def _segments(path: Path) -> dict[str, Segment]:
    found: dict[str, Segment] = {}
    for _, line in files.lines(path):
        name, *cells = line.split()
        if len(cells) >= 3:
            start_s, end_s = seconds(cells[1]), seconds(cells[2])
            found.setdefault(name, Segment(cells[0], start_s, None if end_s == TO_THE_END else end_s - start_s))
    return found


def _mapping(path: Path) -> dict[str, str]:
    """What an optional file says of each name."""
    return dict(_first_word(line) for _, line in files.lines(path)) if path.is_file() else {}


def _first_word(line: str) -> tuple[str, str]:
    """The first word of a line, and the rest; either white space stands between."""
    name, *rest = line.split(maxsplit=1)
    return name, rest[0].strip() if rest else ""
