"""AISHELL-1 as openslr.org/33 has it -> utterances.

`wav/{train,dev,test}/SPEAKER/ID.wav`, once each speaker's archive is unpacked, and
`transcript/aishell_transcript_v0.8.txt` with a line `ID WORD WORD ...` for each. The spaces between words are the
segmentation's, not the writing's, and go, as they do in other recipes for this corpus.
"""

from collections.abc import Iterator
from pathlib import Path

from asr.errors import UserError
from asr.params import Data
from asr.sources import files
from asr.sources.guess import mismatch
from asr.sources.layout import Place, listing, places, sized, split_in, utterance
from asr.utterances import Rejected, Utterance

__all__ = ["listing", "utterances"]

LANGUAGE = "zh"


def utterances(data: Data, corpus: Path) -> Iterator[Utterance | Rejected]:
    """A row for each line of the transcript, and each recording without one, which is rejected.

    Raises `UserError` where there is no transcript, or the speakers' archives are still packed.
    """
    for place in places(data):
        yield from sized(_rows(data, place))


def _rows(data: Data, place: Place) -> Iterator[Utterance | Rejected]:
    transcripts = sorted(place.path.rglob("aishell_transcript*.txt"))
    if not transcripts:
        raise mismatch(place.path, "aishell", "transcript/aishell_transcript_v0.8.txt")
    recordings = sorted(place.path.rglob("wav/*/*/*.wav"))
    if not recordings:
        packed = next(place.path.rglob("wav/*.tar.gz"), None)
        if packed:
            raise UserError(
                f"data.path: the speakers of {place.path} are packed ({packed}, ...); unpack them: "
                f"cd {packed.parent} && for f in *.tar.gz; do tar -xzf $f; done"
            )
        raise mismatch(place.path, "aishell", "wav/{train,dev,test}/SPEAKER/*.wav")
    unsaid = {audio.stem: audio for audio in recordings}
    for transcript in transcripts:
        for _, line in files.lines(transcript):
            name, _, words = line.partition(" ")
            audio = unsaid.pop(name, None)
            if audio is None:
                yield Rejected(name, "missing audio", f"no wav/*/*/{name}.wav in {place.path}")
                continue
            split, speaker = place.split or split_in(audio.parts[-3]), audio.parent.name
            yield utterance(data, name, audio, "".join(words.split()), LANGUAGE, split=split, speaker=speaker)
    for name, audio in unsaid.items():
        yield Rejected(name, "no transcript", f"{audio} has no line in {transcripts[0].name}")
