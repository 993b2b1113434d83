"""Recordings that are heard -> signs of life on stderr: how many, how much speech, how many times real time."""

import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from asr.secrets import printable
from asr.utterances import Seconds

INTERVAL_S = 10.0  # between two lines of a log


class Pace:
    """A context manager: a bar on a terminal, else a line now and then. What is said meanwhile goes through it."""

    def __init__(self, n_recordings: int) -> None:
        self._n_recordings, self._n_ended = n_recordings, 0
        self._heard_s: Seconds = 0.0
        self._began_s = self._said_s = time.monotonic()
        self._console = Console(stderr=True)
        self._is_shown = self._console.is_terminal
        self._bar = Progress(
            BarColumn(bar_width=20),
            TextColumn("{task.description}"),
            console=self._console,
            transient=True,
            refresh_per_second=2,
            disable=not self._is_shown,
        )

    def __enter__(self) -> Self:
        self._bar.start()
        self._task = self._bar.add_task(str(self), total=self._n_recordings)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()
        if self._n_ended > 1:
            print(self, file=sys.stderr)

    def __str__(self) -> str:
        seconds = round(self._heard_s)
        clock = f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
        rate = self._heard_s / max(time.monotonic() - self._began_s, 1e-9)
        return f"{self._n_ended:,} of {self._n_recordings:,} recordings, {clock} of speech, {rate:.1f}x real time"

    def heard(self, heard_s: Seconds) -> None:
        """So much speech more."""
        self._heard_s += heard_s
        self._tell()

    def ended(self) -> None:
        """One recording more."""
        self._n_ended += 1
        self._tell()

    def say(self, line: str) -> None:
        """A line on stderr."""
        self._bar.console.print(printable(line), markup=False, highlight=False, soft_wrap=True)

    def write(self, text: str) -> None:
        """To stdout, where a bar may stand on the same terminal."""
        self._bar.stop()
        sys.stdout.write(text)
        sys.stdout.flush()
        self._bar.start()

    def _tell(self) -> None:
        self._bar.update(self._task, description=str(self), completed=self._n_ended)
        now_s = time.monotonic()
        if not self._is_shown and now_s - self._said_s >= INTERVAL_S:
            print(self, file=sys.stderr, flush=True)
            self._said_s = now_s
