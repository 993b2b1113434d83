"""Receipts that appear -> one line that says how far the job is: shards, hours of speech, speed, time left."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from asr.clips.plan import PlannedShard
from asr.errors import UserError
from asr.progress import say
from asr.storage import is_remote
from asr.utterances import Seconds
from pipelines.receipts import finished

POLL_S = 5.0
POLL_REMOTE_S = 30.0  # each is a listing, which object stores charge for


class Progressed:
    """What has been done since the job began; `poll` looks it up."""

    def __init__(self, home: str, planned: Sequence[PlannedShard]) -> None:
        self.home, self.planned = home, planned
        self.waiting = {shard.name: shard for shard in planned}
        for receipt in finished(home, planned):
            del self.waiting[receipt.name]
        self.n_before = self.n_done
        self.hours, self.done_bytes = 0.0, 0  # of speech and of source audio
        # Workers take seconds to start, which says nothing of their speed.
        self.began_s = self.idle_until_s = time.monotonic()

    @property
    def n_done(self) -> int:
        return len(self.planned) - len(self.waiting)

    def poll(self) -> None:
        for receipt in finished(self.home, [*self.waiting.values()]):
            self.hours += receipt.tally.hours
            self.done_bytes += self.waiting.pop(receipt.name).source_bytes
        if not self.done_bytes:
            self.idle_until_s = time.monotonic()

    def __str__(self) -> str:
        now_s = time.monotonic()
        line = f"{self.n_done:,} of {len(self.planned):,} shards after {_clock(now_s - self.began_s)}"
        if self.done_bytes:
            busy_s = now_s - self.idle_until_s
            left_bytes = sum(shard.source_bytes for shard in self.waiting.values())
            line += f", {self.hours:.2f} h of speech, {self.hours * 3600 / busy_s:,.0f}x real time"
            line += f", about {_clock(busy_s / self.done_bytes * left_bytes)} left"
        return line


@contextmanager
def reported(home: str, planned: Sequence[PlannedShard]) -> Iterator[None]:
    """Reports while the block runs: a bar on a terminal, else a line now and then."""
    state, ended = Progressed(home, planned), threading.Event()
    if state.n_before:
        say(f"{state.n_before:,} of {len(planned):,} shards are there from an earlier run")
    thread = threading.Thread(target=_watch, args=(state, ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _watch(state: Progressed, ended: threading.Event) -> None:
    poll_s = POLL_REMOTE_S if is_remote(state.home) else POLL_S
    console = Console(stderr=True)
    columns = BarColumn(bar_width=20), TextColumn("{task.description}")
    shown = console.is_terminal
    with Progress(*columns, console=console, transient=True, refresh_per_second=1, disable=not shown) as bar:
        task = bar.add_task(str(state), total=len(state.planned), completed=state.n_done)
        while not ended.wait(poll_s):
            with suppress(UserError, OSError):  # a store that does not answer now: the job goes on, and so does this
                state.poll()
            bar.update(task, description=str(state), completed=state.n_done)
            if not shown:
                say(str(state))


def _clock(seconds: Seconds) -> str:
    """As in "42 s" or "1:23:45"."""
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if round(seconds) >= 120 else f"{round(seconds)} s"
