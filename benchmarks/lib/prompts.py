"""Debian's English telephone prompts of Asterisk (one professional speaker, 8 kHz) -> utterances."""

import gzip
import subprocess
from collections.abc import Iterator
from pathlib import Path

import soundfile

from asr.utterances import Utterance

RECORDINGS, TRANSCRIPTS = "asterisk-core-sounds-en-wav", "asterisk-core-sounds-en"
SOUNDS = Path("usr/share/asterisk/sounds/en_US_f_Allison")
TEXTS = Path("usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz")


def prompts(folder: Path) -> list[Utterance]:
    """The prompts that are speech, by name, unpacked to `folder`; none where apt cannot have the packages (19 MB)."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        subprocess.run(["apt-get", "download", RECORDINGS, TRANSCRIPTS], cwd=folder, check=True, capture_output=True)
        for package in folder.glob("*.deb"):
            subprocess.run(["dpkg-deb", "--extract", package, folder], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return []
    return list(_utterances(folder / SOUNDS, gzip.decompress((folder / TEXTS).read_bytes()).decode("utf-8")))


def _utterances(sounds: Path, transcripts: str) -> Iterator[Utterance]:
    """One a line `NAME: text`; `[...]` describes what is no speech, `;` starts a comment."""
    for line in sorted(transcripts.splitlines()):
        name, _, text = line.partition(":")
        audio = sounds / f"{name.strip()}.wav"
        if line.startswith(";") or "[" in text or not text.strip() or not audio.is_file():
            continue
        duration_s, size_bytes = soundfile.info(audio).duration, audio.stat().st_size
        yield Utterance(
            name, str(audio), " ".join(text.split()), "en", None, duration_s=duration_s, source_bytes=size_bytes
        )
