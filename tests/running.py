"""A project's folder, of real and of generated speech, in which preprocess runs as a process, as DVC runs it."""

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import soundfile
import yaml

from asr.corpora import manifest
from asr.corpora.rejects import write_rejects
from asr.shards import read_index, sha256_of
from asr.utterances import Rejected, Utterance
from tests.builders import speech_like

SHARD_MB = 0.25
COPIES = {"speeds": [0.9, 1.0], "augment": ["noise", "reverberation", "telephone"]}
SPLIT_OF = ("train", "train", "train", "validation", "test")
RATES_HZ = (8_000, 11_025, 16_000, 22_050, 44_100, 48_000)
EVERY = 2  # of the real clips, one in so many
N_MINUTE_PIECES = 9
WAIT_S = 120


def corpus(folder: Path, real_clips: list[tuple[str, str, str]]) -> list[Utterance]:
    """Clips in `folder`: people's Ogg, generated WAV and FLAC of many rates, pieces of a long recording, bad ones."""
    folder.mkdir(parents=True)
    rows = []
    for n, (path, language, text) in enumerate(real_clips[::EVERY]):
        (folder / f"real-{n}.ogg").write_bytes(Path(path).read_bytes())
        rows.append(Utterance(f"real-{n}", f"real-{n}.ogg", text, language))
    for n, rate_hz in enumerate(RATES_HZ):
        name = f"made-{n}.{('wav', 'flac')[n % 2]}"
        soundfile.write(folder / name, speech_like(0.7 + n, seed=n, rate_hz=rate_hz), rate_hz)
        rows.append(Utterance(f"made-{n}", name, f"Hecho {n}.", "es"))
    soundfile.write(folder / "minute.flac", speech_like(60, rate_hz=44_100), 44_100)
    for n in range(N_MINUTE_PIECES):
        rows.append(Utterance(f"piece-{n}", "minute.flac", f"Pieza {n}.", "es", start_s=6.01 * n, duration_s=2.7))
    (folder / "text.wav").write_text("no audio")
    rows += [Utterance("bad-text", "text.wav", "Nada.", "es"), Utterance("bad-absent", "absent.wav", "Nada.", "es")]
    return [
        replace(row, split="train" if row.audio == "minute.flac" else SPLIT_OF[n % 5], source_bytes=_size(folder, row))
        for n, row in enumerate(rows)
    ]


def _size(folder: Path, row: Utterance) -> int:
    path = folder / row.audio
    return 0 if not path.exists() else path.stat().st_size // (N_MINUTE_PIECES if row.duration_s else 1)


@dataclass(frozen=True)
class Project:
    """A folder with params.yaml and what prepare and fetch leave."""

    folder: Path
    base: Path

    @classmethod
    def make(cls, folder: Path, base: Path, clips: Path, rows: list[Utterance], **features: object) -> "Project":
        """`rows` name their audio relative to `clips`."""
        (folder / "data").mkdir(parents=True)
        chosen = {"audio": COPIES, "features": {"shard_mb": SHARD_MB, **features}}
        (folder / "params.yaml").write_text(yaml.safe_dump(chosen))
        (folder / "data/listing.json").write_text("{}")
        manifest.write([replace(row, audio=str(clips / row.audio)) for row in rows], folder / "data/manifest")
        write_rejects(folder / "data/manifest", [Rejected("row-9", "empty text")])
        return cls(folder, base)

    @property
    def features(self) -> Path:
        return self.folder / "data/features"

    @property
    def work(self) -> Path:
        return self.folder / "data/work"

    def start(self, before: Callable[[], None] | None = None, **environment: str) -> "Running":
        """Preprocess as a process, which calls `before` first, in a session whose signals do not reach the tests."""
        mark = f"RUN={uuid.uuid4()}"
        words = ["data/manifest", "data/listing.json", str(self.base), "data/features", "data/work"]
        process = subprocess.Popen(
            [sys.executable, "-m", "stages.preprocess", *words],
            cwd=self.folder,
            env=os.environ | environment | dict([mark.split("=")]),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=before,
        )
        return Running(process, mark)

    def run(self, **environment: str) -> dict[str, str]:
        """Runs it to its end; the name of each shard, and its sha256."""
        running = self.start(**environment)
        status, said = running.end()
        assert status == 0, said
        return self.hashes()

    def hashes(self) -> dict[str, str]:
        """Of the shards as they lie there, which must be those of the index."""
        index = read_index(self.features)
        listed = {entry.name: entry.sha256 for entries in index.splits.values() for entry in entries}
        lying = {str(path.relative_to(self.features)): sha256_of(path) for path in self.features.glob("*/*.parquet")}
        assert lying == listed
        return listed

    def finished(self) -> dict[str, tuple[int, int]]:
        """The shards in the work folder that have a receipt: inode and time of writing."""
        receipts = self.work.glob("*/*/*.parquet.json")
        shards = [receipt.with_suffix("") for receipt in receipts]
        return {f"{path.parent.name}/{path.name}": identity(path) for path in shards if path.exists()}


def identity(path: Path) -> tuple[int, int]:
    """Changes when a file is written anew."""
    return path.stat().st_ino, path.stat().st_mtime_ns


@dataclass(frozen=True)
class Running:
    process: subprocess.Popen[str]
    mark: str

    def end(self) -> tuple[int, str]:
        """Waits for the end: exit status, and what was said on stderr."""
        _, said = self.process.communicate(timeout=WAIT_S)
        return self.process.returncode, said

    def wait_for_shards(self, project: Project, n_shards: int) -> None:
        """Until so many shards are finished."""
        until = time.monotonic() + WAIT_S
        while len(project.finished()) < n_shards:
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < until, "no shards in time"
            time.sleep(0.002)

    def left_behind(self) -> list[str]:
        """The processes, by their command lines, that this one started and that outlived it by some seconds."""
        until = time.monotonic() + 10
        while (alive := _marked(self.mark)) and time.monotonic() < until:
            time.sleep(0.1)
        return alive


def _marked(mark: str) -> list[str]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (folder / "environ").read_bytes().split(b"\0"):
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:  # ended meanwhile, or another user's
            continue
    return found
