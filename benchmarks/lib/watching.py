"""A command -> what it and all that it starts hold while it runs, sample by sample, and what is left of it afterwards.

Linux only: what is held comes from /proc. Whatever the command starts has its mark in the environment, so that a
process is found also where it has left the family.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MARK = "WATCHED"
ROOT = Path(__file__).parents[2].resolve()
CODE = ("asr", "stages", "pipelines")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
OF_TORCH = "torchinductor_"  # an empty folder, the same for all processes of a user, as soon as torch is imported
LONGEST_END_S = 60.0  # from SIGTERM to the end


@dataclass(frozen=True)
class Sample:
    """What all processes of the command hold together, `at_s` seconds after its start.

    Pages that two of them share count twice.
    """

    at_s: float
    rss_mb: float
    handles: int
    processes: int
    disk_mb: float


@dataclass(frozen=True)
class Watched:
    """How a command ran, and what it left: processes that outlive it, and files in its folder for temporary ones.

    Torch's folder for compiled code, one for all processes, is none of them.
    """

    status: int
    wall_s: float
    samples: list[Sample]
    left_processes: list[str]
    left_files: list[str]

    @property
    def peak_mb(self) -> float:
        return max((sample.rss_mb for sample in self.samples), default=0.0)

    @property
    def most_handles(self) -> int:
        return max((sample.handles for sample in self.samples), default=0)

    @property
    def most_processes(self) -> int:
        return max((sample.processes for sample in self.samples), default=0)


def project(folder: Path, choices: dict[str, Any]) -> None:
    """A folder for stages to run in, with these params, and with the code that stands here, whatever is installed."""
    folder.mkdir(parents=True)
    (folder / "params.yaml").write_text(json.dumps(choices))
    for name in CODE:
        (folder / name).symlink_to(ROOT / name)


def watched(
    command: Sequence[str | Path],
    folder: Path,
    environment: dict[str, str],
    every_s: float = 1.0,
    stop_after_s: float | None = None,
) -> Watched:
    """Runs a command in `folder`, and ends it by SIGTERM where it is told when.

    What it says is kept back, and shown where it fails.
    """
    mark = uuid.uuid4().hex
    samples: list[Sample] = []
    with tempfile.TemporaryDirectory() as temporary, tempfile.TemporaryFile("w+") as said:
        started_s = time.monotonic()
        process = subprocess.Popen(
            [str(word) for word in command],
            cwd=folder,
            env={**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": temporary, MARK: mark, **environment},
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        with _ended(process):
            while process.poll() is None and not _is_over(stop_after_s, started_s):
                samples.append(_sample(mark, time.monotonic() - started_s, (folder, Path(temporary))))
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(every_s)
        wall_s = time.monotonic() - started_s
        stopped = stop_after_s is not None and process.returncode == 128 + signal.SIGTERM
        if process.returncode and not stopped:
            said.seek(0)
            sys.exit(f"error: {' '.join(map(str, command))} ended with {process.returncode}:\n{said.read()}")
        left = [str(path.relative_to(temporary)) for path in Path(temporary).rglob("*")]
        left_files = [name for name in left if not name.startswith(OF_TORCH)]
    return Watched(process.returncode, wall_s, samples, [_words(pid) for pid in _marked(mark)], left_files)


@contextlib.contextmanager
def _ended(process: subprocess.Popen[str]) -> Iterator[None]:
    """After it the process has ended, of itself or by SIGTERM."""
    try:
        yield
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(LONGEST_END_S)


def _is_over(stop_after_s: float | None, started_s: float) -> bool:
    return stop_after_s is not None and time.monotonic() - started_s >= stop_after_s


def _sample(mark: str, at_s: float, folders: Sequence[Path]) -> Sample:
    pids = _marked(mark)
    return Sample(
        at_s,
        sum(map(_rss_bytes, pids)) / 1e6,
        sum(map(_n_handles, pids)),
        len(pids),
        sum(map(disk_bytes, folders)) / 1e6,
    )


def _marked(mark: str) -> list[str]:
    """The processes that have the mark, other than those that only wait to be reaped."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # ended meanwhile, or another user's
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                found.append(folder.name)
    return found


def _rss_bytes(pid: str) -> int:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES
    return 0


def _n_handles(pid: str) -> int:
    with contextlib.suppress(OSError):
        return len(os.listdir(f"/proc/{pid}/fd"))
    return 0


def _words(pid: str) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    return ""


def disk_bytes(folder: Path) -> int:
    """What the files in `folder` take, each file once however many names it has; links to elsewhere take nothing."""
    sizes: dict[int, int] = {}
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                found = os.lstat(os.path.join(place, name))
                sizes[found.st_ino] = found.st_blocks * 512
    return sum(sizes.values())
