"""Clips, real or generated -> a folder that the preprocess stage runs in: manifest, listing, base and params.yaml."""

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import soundfile
import soxr

from asr import params
from asr.corpora import manifest
from asr.corpora.rejects import write_rejects
from asr.features import RATE_HZ
from asr.sources import tuxpaint
from asr.utterances import Utterance

GENERATED_RATE_HZ = 44_100
GENERATED_S = (1.0, 5.0)  # shortest and longest
LINKS_PER_FOLDER = 1_000
# What follows `python` to run the stage as dvc.yaml does, in a folder of `job_folder`.
PREPROCESS = ("-m", "stages.preprocess", "manifest", "listing.json", "base", "features", "work")


def job_folder(folder: Path, utterances: Sequence[Utterance], base: Path, codec: str = "float16") -> None:
    """Makes `folder`, in which `PREPROCESS` runs."""
    manifest.write(utterances, folder / "manifest")
    write_rejects(folder / "manifest", [])
    (folder / "listing.json").write_text("{}\n")
    (folder / "params.yaml").write_text(json.dumps({"features": {"codec": codec}}) + "\n")
    (folder / "base").symlink_to(base.resolve())


def real_clips(folder: Path, n_clips: int) -> list[Utterance]:
    """Tux Paint's clips in all of its languages, every k-th by language and name, so that at least `n_clips` remain."""
    rows = tuxpaint_clips(folder, get_args(params.TuxpaintLanguage))
    return with_splits(rows[:: max(1, len(rows) // n_clips)])


def tuxpaint_clips(folder: Path, languages: Sequence[params.TuxpaintLanguage]) -> list[Utterance]:
    """All clips of these languages, by language and name, copied to `folder`."""
    data = params.Data(source="tuxpaint", tuxpaint=params.Tuxpaint(languages=list(languages)))
    rows = [row for row in tuxpaint.utterances(data, folder) if isinstance(row, Utterance)]
    return sorted(rows, key=lambda row: row.id)  # which starts with the language


def as_flac(clips: Sequence[Utterance], folder: Path) -> list[Utterance]:
    """The clips in LibriSpeech's format: 16 bits, 16 kHz, mono."""
    folder.mkdir(parents=True)
    rows = []
    for number, clip in enumerate(clips):
        samples, rate_hz = soundfile.read(clip.audio, dtype="float32", always_2d=True)
        path = folder / f"{number:05d}.flac"
        soundfile.write(path, soxr.resample(samples.mean(axis=1), rate_hz, RATE_HZ), RATE_HZ, subtype="PCM_16")
        rows.append(replace(clip, audio=str(path), source_bytes=path.stat().st_size))
    return rows


def buzzes(folder: Path, n_files: int, lengths_s: tuple[float, float] = GENERATED_S) -> list[Path]:
    """Different Ogg files of a buzz with formants and pauses, each between the two lengths."""
    random = np.random.default_rng(1)
    folder.mkdir(parents=True)
    paths = [folder / f"{number:03d}.ogg" for number in range(n_files)]
    for path in paths:
        soundfile.write(path, buzz(random.uniform(*lengths_s), random), GENERATED_RATE_HZ)
    return paths


def buzz(duration_s: float, random: np.random.Generator, rate_hz: int = GENERATED_RATE_HZ) -> np.ndarray:
    """`(n_samples,)`, with the rough shape of speech."""
    t_s = np.arange(round(duration_s * rate_hz)) / rate_hz
    pitch_hz = random.uniform(90, 220)
    buzz = sum(np.sin(2 * np.pi * pitch_hz * k * t_s) / k for k in range(1, 10))
    syllables = 0.5 + 0.5 * np.sin(2 * np.pi * random.uniform(2, 5) * t_s + random.uniform(0, 6))
    return 0.1 * buzz * syllables + 0.002 * random.standard_normal(len(t_s))


def linked_clips(folder: Path, originals: Sequence[Path], n_clips: int) -> list[Utterance]:
    """As many clips as are asked for, each a file of its own name that takes no room of its own."""
    rows = []
    for number in range(n_clips):
        original = originals[number % len(originals)]
        path = folder / f"{number // LINKS_PER_FOLDER:03d}" / f"{number:06d}.ogg"
        path.parent.mkdir(parents=True, exist_ok=True)
        os.link(original, path)
        text = f"Generated clip number {number} says nothing at all."
        rows.append(Utterance(path.stem, str(path), text, "en", source_bytes=original.stat().st_size))
    return with_splits(rows)


def with_splits(rows: Sequence[Utterance]) -> list[Utterance]:
    """Of twenty rows one is for validation and one for the test."""
    special = {5: "validation", 15: "test"}
    return [replace(row, split=special.get(number % 20, "train")) for number, row in enumerate(rows)]  # type: ignore[arg-type]
