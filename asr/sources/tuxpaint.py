"""Debian's tuxpaint-stamps-default, in which people name what a drawing program's stamps show -> utterances.

A stamp `NAME.txt` holds what it is called (first line English, then `LANG.utf8=...`); `NAME_desc_LANG.ogg` says it, and
`NAME_desc.ogg` says it in English. Who speaks is not known, so the splits are cut by text.
"""

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import soundfile

from asr import params
from asr.cache import cache_folder
from asr.errors import UserError
from asr.utterances import Rejected, Utterance

PACKAGE = "tuxpaint-stamps-default"
VERSION = "2022.06.04-1"  # of Debian 12 and 13; another is taken as it is
SHA256 = "6db6c1bfc870a47f1499d6203b083522eacb57c5f9c87d468f2e92eb6d9d5f34"
SIZE_MB = 161
STAMPS = Path("usr/share/tuxpaint/stamps")

# Nobody speaks faster: such a clip says less than its text, most often the letter alone of a whole sentence.
MAX_LETTERS_PER_S = 30

_SPOKEN = re.compile(r"(?P<stamp>.+)_desc(_(?P<language>[a-z]{2}))?\.ogg")
_TRANSLATED = re.compile(r"(?P<language>[^.=]+)\.utf8=(?P<text>.*)")


def utterances(data: params.Data, corpus: Path) -> Iterator[Utterance | Rejected]:
    """A clip of `data.tuxpaint.languages` each, by path; those that are used are copied to `corpus/LANGUAGE/ID.ogg`.

    Raises `UserError` on a machine without apt, or where the package cannot be had.
    """
    deb = _package()
    with tempfile.TemporaryDirectory(dir=deb.parent) as folder:
        _run(["dpkg-deb", "--extract", str(deb), folder])
        yield from clips(Path(folder) / STAMPS, data.tuxpaint.languages, corpus)


def listing(data: params.Data) -> Iterator[tuple[str, str]]:
    """The package, and the version of it that is used here."""
    deb = _cached()
    yield PACKAGE, _version(deb) if deb else VERSION


def clips(stamps: Path, languages: list[params.TuxpaintLanguage], corpus: Path) -> Iterator[Utterance | Rejected]:
    """The clips below the folder of stamps."""
    digests: set[tuple[str, bytes]] = set()
    for path in sorted(stamps.rglob("*_desc*.ogg")):
        spoken = _SPOKEN.fullmatch(path.name)
        language = spoken and (spoken["language"] or "en")
        if not spoken or language not in languages:
            continue
        name = "-".join((language, *path.relative_to(stamps).parent.parts, spoken["stamp"]))
        digest = language, hashlib.sha256(path.read_bytes()).digest()
        if digest in digests:
            yield Rejected(
                name, "duplicate clip", "the same bytes as an earlier one; twice in test, it would weigh double"
            )
            continue
        digests.add(digest)
        yield _utterance(path, name, language, path.with_name(f"{spoken['stamp']}.txt"), corpus)


def transcripts(text: str) -> dict[str, str]:
    """Language -> text, from the content of a stamp's `.txt`; runs of spaces become one."""
    english, *others = text.split("\n")
    found = {"en": english}
    for line in others:
        if translated := _TRANSLATED.fullmatch(line):
            found.setdefault(translated["language"], translated["text"])
    return {language: " ".join(text.split()) for language, text in found.items()}


def _utterance(clip: Path, name: str, language: str, transcript: Path, corpus: Path) -> Utterance | Rejected:
    if not transcript.exists():
        return Rejected(name, "no transcript", f"{transcript.name} is not in the package")
    text = transcripts(transcript.read_text(encoding="utf-8", errors="surrogateescape")).get(language)
    if not text:
        return Rejected(name, "empty text", f"{transcript.name} has none in this language")
    try:
        duration_s = soundfile.info(clip).duration
    except soundfile.SoundFileError as error:
        return Rejected(name, "undecodable audio", str(error))
    if len(text) > MAX_LETTERS_PER_S * duration_s:
        return Rejected(name, "text does not fit", f"{duration_s:.2f} s for: {text}")
    audio = corpus / language / f"{name}.ogg"
    audio.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(clip, audio)
    size_bytes = audio.stat().st_size
    return Utterance(name, str(audio), text, language, duration_s=duration_s, source_bytes=size_bytes)


def _package() -> Path:
    """The package in the user's cache, downloaded if it is not there. Raises `UserError`."""
    deb = _cached() or _download()
    if _version(deb) != VERSION:
        print(f"{PACKAGE} {_version(deb)}: figures were published with {VERSION}")
    elif hashlib.sha256(deb.read_bytes()).hexdigest() != SHA256:
        raise UserError(f"{deb}: not the package that Debian publishes (sha256); delete it and try again")
    return deb


def _cached() -> Path | None:
    debs = sorted(cache_folder().glob(f"{PACKAGE}_*.deb"))
    pinned = [deb for deb in debs if _version(deb) == VERSION]
    return next(iter(pinned + debs), None)


def _version(deb: Path) -> str:
    return deb.name.split("_")[1]


def _download() -> Path:
    """By apt, which checks the signatures; no root is needed. Raises `UserError`."""
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise UserError(
            f"data.source tuxpaint: its recordings are the package {PACKAGE}, and here is no apt-get to fetch it, "
            "as Debian and Ubuntu have; use data.source: table with recordings of your own"
        )
    print(f"Downloading {PACKAGE} ({SIZE_MB} MB, once; kept in {cache_folder()})", flush=True)
    cache_folder().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache_folder()) as folder:
        try:
            _run(["apt-get", "download", PACKAGE], folder)
        except UserError:  # no package lists on this machine, or old ones: fetch lists of our own
            own = ["-o", f"Dir::State::Lists={folder}/lists", "-o", f"Dir::Cache={folder}/cache"]
            for part in ("lists/partial", "cache/archives/partial"):
                (Path(folder) / part).mkdir(parents=True)
            subprocess.run(
                ["apt-get", *own, "update"], capture_output=True, check=False
            )  # one broken source is no matter
            _run(["apt-get", *own, "download", PACKAGE], folder)
        (deb,) = Path(folder).glob("*.deb")
        return deb.rename(cache_folder() / deb.name)


def _run(command: list[str], folder: str | None = None) -> None:
    """Raises `UserError` with the command's last complaint if it fails."""
    done = subprocess.run(command, cwd=folder, env={**os.environ, "LC_ALL": "C"}, capture_output=True, text=True)
    if done.returncode:
        complaint = (done.stderr.strip() or "no message").splitlines()[-1]
        raise UserError(
            f"data.source tuxpaint: {command[0]} failed on {PACKAGE}: {complaint}; "
            "try again with a network, or use data.source: table with recordings of your own"
        )
