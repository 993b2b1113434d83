"""File systems in memory that are small, full or read-only; only root can make them, anyone else skips the test."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def disk(folder: Path, options: str) -> Iterator[Path]:
    """One at `folder`, which need not exist, with mount's options: `size=4m`, `ro`."""
    folder.mkdir(parents=True, exist_ok=True)
    mounted = subprocess.run(["mount", "-o", options, "-t", "tmpfs", "none", folder], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"NO DISK CAN BE MADE, so one that is full or read-only stays untested: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@contextmanager
def filled(folder: Path) -> Iterator[None]:
    """Without room, in the block."""
    ballast = folder / "ballast"
    with ballast.open("wb") as file:
        room = os.statvfs(ballast)
        os.posix_fallocate(file.fileno(), 0, room.f_bavail * room.f_frsize)
    yield
    ballast.unlink()


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Mounted read-only, in the block."""
    subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
    yield
    subprocess.run(["mount", "-o", "remount,rw", folder], check=True)
