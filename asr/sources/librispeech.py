"""LibriSpeech as openslr.org/12 has it -> utterances.

`SUBSET/SPEAKER/CHAPTER/SPEAKER-CHAPTER.trans.txt` has a line `SPEAKER-CHAPTER-NUMBER TEXT` for each FLAC beside it. The
subset's name says the split: train-clean-100, dev-other, test-clean.
"""

from collections.abc import Iterator
from pathlib import Path

from asr.params import Data
from asr.sources import files
from asr.sources.guess import mismatch
from asr.sources.layout import Place, listing, places, sized, split_in, utterance
from asr.utterances import Rejected, Utterance

__all__ = ["listing", "utterances"]


def utterances(data: Data, corpus: Path) -> Iterator[Utterance | Rejected]:
    """The lines of all transcripts, by path. Raises `UserError` where there are none."""
    for place in places(data):
        yield from sized(_rows(data, place))


def _rows(data: Data, place: Place) -> Iterator[Utterance | Rejected]:
    transcripts = sorted(place.path.rglob("*.trans.txt"))
    if not transcripts:
        raise mismatch(place.path, "librispeech", "SUBSET/SPEAKER/CHAPTER/*.trans.txt")
    for transcript in transcripts:
        subset = transcript.absolute().parts[-4]
        for _, line in files.lines(transcript):
            name, _, text = line.partition(" ")
            audio = transcript.parent / f"{name}.flac"
            speaker, split = name.partition("-")[0], place.split or split_in(subset)
            yield utterance(data, name, audio, text.strip(), within=place.path, split=split, speaker=speaker)
