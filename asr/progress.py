"""An iterable -> the same iterable, with signs of life on stderr: a bar on a terminal, else a line now and then."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import track as rich_track

from asr.secrets import printable

T = TypeVar("T")


def track(items: Iterable[T], description: str, total: int | None = None, interval_s: float = 10.0) -> Iterator[T]:
    """Yields `items`, of which there are `total` (None: unknown). A log gets a line each `interval_s` seconds."""
    console = Console(stderr=True)
    if console.is_terminal:
        yield from rich_track(items, description, total=total, console=console)
        return
    began_s = said_s = time.monotonic()
    for n_done, item in enumerate(items, start=1):
        yield item
        now_s = time.monotonic()
        if now_s - said_s >= interval_s:
            of_total = f" of {total}" if total is not None else ""
            rate = n_done / max(now_s - began_s, 1e-9)
            print(f"{description}: {n_done}{of_total}, {rate:.1f}/s", file=sys.stderr, flush=True)
            said_s = now_s


def say(line: str) -> None:
    """A line of the stage's own account, on stdout, seen at once."""
    print(printable(line), flush=True)
