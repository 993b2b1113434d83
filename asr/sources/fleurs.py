"""FLEURS as huggingface.co/datasets/google/fleurs has it below `data/` -> utterances.

A folder for each language (hi_in, cmn_hans_cn) with train.tsv, dev.tsv and test.tsv, and `audio/SPLIT.tar.gz` or that
unpacked. The tables have no header: sentence number, file, text, normalised text, characters, samples, gender.
"""

from collections.abc import Iterator
from pathlib import Path

from asr.errors import UserError
from asr.params import Data
from asr.sources import files
from asr.sources.archives import unpack
from asr.sources.guess import mismatch
from asr.sources.layout import Place, listing, places, seconds, sized, split_in, utterance
from asr.utterances import Rejected, Utterance

__all__ = ["listing", "utterances"]

SPLITS = ("train", "dev", "test")
N_COLUMNS = 7
RATE_HZ = 16_000  # of all its recordings


def utterances(data: Data, corpus: Path) -> Iterator[Utterance | Rejected]:
    """A line of the tables each; archives are unpacked to `corpus/LANGUAGE`.

    The text is as it was written, or with `data.normalized` in lower case without punctuation. Raises `UserError`.
    """
    for place in places(data):
        for folder in _languages(place):
            for split in SPLITS:
                if (folder / f"{split}.tsv").is_file():
                    audio = _audio(folder, split, corpus)
                    yield from sized(_rows(data, place, folder, split, audio))


def _languages(place: Place) -> list[Path]:
    """The place itself or the folders in it; each has a table without a header."""
    folders = [place.path, *sorted(path for path in place.path.glob("*") if path.is_dir())]
    found = [
        folder.absolute() for folder in folders if any(map(_is_table, (folder / f"{split}.tsv" for split in SPLITS)))
    ]
    if not found:
        raise mismatch(place.path, "fleurs", "LANGUAGE/train.tsv without a header")
    return found


def _is_table(path: Path) -> bool:
    return path.is_file() and next(files.lines(path), (0, ""))[1].count("\t") == N_COLUMNS - 1


def _audio(folder: Path, split: str, corpus: Path) -> Path:
    """Where the recordings of a split lie, unpacked if they were not."""
    for there in (folder / "audio" / split, folder / split):
        if there.is_dir():
            return there
    archive = folder / "audio" / f"{split}.tar.gz"
    if not archive.is_file():
        raise UserError(f"data.path: for {folder / split}.tsv there is neither {archive} nor the folder audio/{split}")
    here = corpus / folder.name
    unpack(archive, here, lambda name: name.endswith(".wav"), "recordings")
    return here / split


def _rows(data: Data, place: Place, folder: Path, split: str, audio: Path) -> Iterator[Utterance | Rejected]:
    for number, line in files.lines(folder / f"{split}.tsv"):
        cells = line.split("\t")
        if len(cells) != N_COLUMNS:
            yield Rejected(f"{split}.tsv:{number}", "bad row", f"{len(cells)} cells for {N_COLUMNS}: {line[:80]}")
            continue
        _, name, written, normalised, _, n_samples, _ = cells
        yield utterance(
            data,
            f"{folder.name}/{Path(name).stem}",
            audio / name,
            normalised if data.normalized else written,
            language=folder.name,
            within=audio,
            split=place.split or split_in(split),
            duration_s=seconds(n_samples) / RATE_HZ,
        )
