"""The LJ Speech layout (keithito.com/LJ-Speech-Dataset), which many corpora of one voice have -> utterances.

A line `ID|TEXT|NORMALISED TEXT` of metadata.csv, without a header and without quoting, for each `wavs/ID.wav`.
"""

from collections.abc import Iterator
from pathlib import Path

from asr.params import Data
from asr.sources import files
from asr.sources.guess import mismatch
from asr.sources.layout import Place, listing, places, sized, utterance
from asr.utterances import Rejected, Utterance

__all__ = ["listing", "utterances"]


def utterances(data: Data, corpus: Path) -> Iterator[Utterance | Rejected]:
    """A line of metadata.csv each; the third column is the text with `data.normalized`. Raises `UserError`."""
    for place in places(data):
        yield from sized(_rows(data, place))


def _rows(data: Data, place: Place) -> Iterator[Utterance | Rejected]:
    metadata = place.path / "metadata.csv"
    first = next(files.lines(metadata), (0, ""))[1] if metadata.is_file() else ""
    if "|" not in first:
        raise mismatch(place.path, "ljspeech", "metadata.csv with lines ID|TEXT")
    for number, line in files.lines(metadata):
        name, *texts = line.split("|")
        if not 1 <= len(texts) <= 2:
            yield Rejected(f"metadata.csv:{number}", "bad row", f"{len(texts) + 1} cells for 2 or 3: {line[:80]}")
            continue
        text = texts[-1] if data.normalized else texts[0]
        audio = place.path / "wavs" / f"{name}.wav"
        yield utterance(data, place.prefix + name, audio, text.strip(), within=place.path, split=place.split)
