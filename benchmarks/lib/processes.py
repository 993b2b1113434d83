"""A command -> what it cost: wall and CPU seconds, and the peak memory of it and of the processes that it starts.

Linux only: peaks come from /proc, because what the kernel tells a parent of its child's peak is never under what the
parent itself held when it forked.
"""

import contextlib
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

SAMPLE_EVERY_S = 0.05
KIB_PER_MB = 1e6 / 1024


@dataclass(frozen=True)
class Usage:
    """What a command took. CPU seconds are user and system, of the command and all that it started."""

    wall_s: float
    cpu_s: float
    launcher_mb: float  # peak resident memory of the command itself
    worker_mb: float  # the same of the largest process that it started; 0 where there was none


def measured(
    command: Sequence[str | Path],
    folder: Path,
    cores: set[int] | None = None,
    environment: dict[str, str] | None = None,
) -> Usage:
    """Runs a command in `folder`, on `cores` (None: all). What it says is kept back, and shown where it fails."""
    with tempfile.TemporaryFile("w+") as said:
        started = time.monotonic()
        process = subprocess.Popen(
            [str(word) for word in command],
            cwd=folder,
            env={**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})},
            stdout=said,
            stderr=subprocess.STDOUT,
            preexec_fn=(lambda: os.sched_setaffinity(0, cores)) if cores else None,
        )
        peaks_kib: dict[int, int] = {}
        while not (waited := os.wait4(process.pid, os.WNOHANG))[0]:
            for pid in _family(process.pid):
                peaks_kib[pid] = max(peaks_kib.get(pid, 0), _peak_kib(pid))
            time.sleep(SAMPLE_EVERY_S)
        wall_s = time.monotonic() - started
        _, status, usage = waited
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            sys.exit(f"error: {' '.join(map(str, command))} ended with {process.returncode}:\n{said.read()}")
    launcher_kib = peaks_kib.pop(process.pid, 0)
    return Usage(
        wall_s,
        usage.ru_utime + usage.ru_stime,
        launcher_kib / KIB_PER_MB,
        max(peaks_kib.values(), default=0) / KIB_PER_MB,
    )


def _family(pid: int) -> Iterator[int]:
    """A process and its descendants, as far as they are still there."""
    yield pid
    with contextlib.suppress(OSError):
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            for child in children.read_text().split():
                yield from _family(int(child))


def _peak_kib(pid: int) -> int:
    with contextlib.suppress(OSError):
        found = re.search(r"VmHWM:\s*(\d+) kB", Path(f"/proc/{pid}/status").read_text())
        return int(found[1]) if found else 0
    return 0
