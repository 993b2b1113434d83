"""A count -> a table of so many short clips in a folder: files of four formats, and pieces of longer recordings."""

import csv
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from asr.features import RATE_HZ, n_frames
from lib.corpora import LINKS_PER_FOLDER, buzz

TABLE = "clips.csv"
COLUMNS = ("id", "audio", "text", "language", "split", "start_s", "end_s")
FORMATS = (("wav", 16_000), ("flac", 22_050), ("ogg", 44_100), ("mp3", 48_000))  # with the rate that buzzes have in it
N_DISTINCT, LENGTHS_S = 400, (0.3, 1.0)  # files, which all others are links to
N_RECORDINGS, PIECES, PIECE_S = 20, 100, 0.6  # recordings of a minute, which all others are links to
EACH_SPLIT = 100  # rows of test, and of validation


@dataclass(frozen=True)
class Corpus:
    """The table, and how many frames the log-Mel of its clips has."""

    table: Path
    n_clips: int
    n_frames: int


def mixed_clips(folder: Path, n_clips: int) -> Corpus:
    """Half of the clips are files of 0.3 to 1 s, half are pieces of recordings of a minute; no two have one text."""
    files, recordings = _originals(folder / "distinct", n_clips)
    frames = 0
    with (folder / TABLE).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for number in range(n_clips):
            if number < n_clips // 2:
                original, duration_s = files[number % len(files)]
                path, start_s, end_s = _linked(folder / "files", number, original), "", ""
            else:
                recording, piece = divmod(number - n_clips // 2, PIECES)
                path = _linked(folder / "recordings", recording, recordings[recording % N_RECORDINGS])
                duration_s, start_s, end_s = PIECE_S, f"{piece * PIECE_S:.2f}", f"{(piece + 1) * PIECE_S:.2f}"
            split = {0: "test", 1: "validation"}.get(number // EACH_SPLIT, "train")
            text = f"Generated clip number {number} says nothing at all."
            writer.writerow([f"{number:06d}", path.relative_to(folder), text, "en", split, start_s, end_s])
            frames += n_frames(round(duration_s * RATE_HZ))
    return Corpus(folder / TABLE, n_clips, frames)


def _originals(folder: Path, n_clips: int) -> tuple[list[tuple[Path, float]], list[Path]]:
    """Files, each with its length in seconds, and recordings, no more than so many clips need."""
    random = np.random.default_rng(1)
    folder.mkdir(parents=True)
    files = []
    for number in range(min(N_DISTINCT, n_clips // 2)):
        ending, rate_hz = FORMATS[number % len(FORMATS)]
        path, duration_s = folder / f"{number:03d}.{ending}", random.uniform(*LENGTHS_S)
        soundfile.write(path, buzz(duration_s, random, rate_hz), rate_hz)
        files.append((path, duration_s))
    n_recordings = min(N_RECORDINGS, -(-(n_clips - n_clips // 2) // PIECES))
    recordings = [folder / f"recording-{number:02d}.flac" for number in range(n_recordings)]
    for path in recordings:
        soundfile.write(path, buzz(PIECES * PIECE_S, random, RATE_HZ), RATE_HZ)
    return files, recordings


def _linked(folder: Path, number: int, original: Path) -> Path:
    path = folder / f"{number // LINKS_PER_FOLDER:03d}" / f"{number:06d}{original.suffix}"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        os.link(original, path)
    return path
