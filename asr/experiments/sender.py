"""A journal that grows -> MLflow, in a thread, so that whoever logs waits for a server only at the start and the end.

A server that fails, or has a process wait for more than `PATIENCE_S` in all, is given up: the journal has it all.
"""

import contextlib
import sys
import threading
import time

from asr.experiments.journal import Journal, Record
from asr.experiments.probe import probe
from asr.experiments.replay import REMEDY, close_killed
from asr.experiments.store import Store

PATIENCE_S = 9.0  # that a process waits for a server, all in all; to look for one that is not there is among it
UPLOAD_BYTES_PER_S = 4e6  # a server that takes artifacts as fast as this does not use up the patience
_FLUSH_EVERY_S = 10.0  # metrics wait so long for company: each call costs a server, and this processor, as much


class Sender:
    """Sends what a journal has and what `put` adds, until the first failure, which is told in one line.

    `journal` is open, and has its first record. A local database is waited for as long as it takes.
    """

    def __init__(self, store: Store, journal: Journal) -> None:
        self._store = store
        self._journal = journal
        self._patience_s = PATIENCE_S
        self._changed = threading.Condition()
        self._pending: list[Record] = []
        self._is_busy = True  # with what the journal has already
        self._is_waited_for = False
        self._is_over = False  # the thread has ended, or what it still does is of no account

    def start(self) -> None:
        """Begin, and wait until the server has the run; returns at once if none listens."""
        started_s = time.monotonic()
        try:
            probe(self._store.uri)
            self._patience_s -= time.monotonic() - started_s
            self._store.load()  # here, since a process that forks must not do so in the middle of an import
        except Exception as error:
            self._give_up(error)
            return
        threading.Thread(target=self._work, name="sender", daemon=True).start()
        self.wait()

    def put(self, record: Record, size_bytes: int = 0) -> None:
        """Send a record that the journal has got; `size_bytes` is that of its files."""
        with self._changed:
            if not self._is_over:
                self._patience_s += size_bytes / UPLOAD_BYTES_PER_S
                self._pending.append(record)
                self._changed.notify_all()

    def wait(self) -> None:
        """Return when all is sent, or the server given up."""
        started_s = time.monotonic()
        timeout_s = None if self._store.is_local else max(0.0, self._patience_s)
        with self._changed:
            self._is_waited_for = True
            self._changed.notify_all()
            in_time = self._changed.wait_for(lambda: self._is_over or not (self._is_busy or self._pending), timeout_s)
            self._is_waited_for = False
        self._patience_s -= time.monotonic() - started_s
        if not in_time:
            self._give_up(TimeoutError("answers too slowly"))

    def stop(self) -> None:
        """Wait, and end the thread."""
        self.wait()
        with self._changed:
            self._is_over = True
            self._changed.notify_all()

    def _work(self) -> None:
        """The thread's life: what was there before, what others left, and then what comes."""
        try:
            if self._store.lacks(self._journal.sent.get("run_id")):
                self._journal.forget_sent()
            self._store.send(self._journal.missing(self._store.address), self._journal)
            self._rest()
            with contextlib.suppress(Exception):  # an old run must not trouble a new one; replay tells what is wrong
                close_killed(self._store, self._journal.path.parent)
            while records := self._next():
                self._store.send(records, self._journal)
                self._rest()
        except Exception as error:  # whatever MLflow or its server does, the training is worth more
            self._give_up(error)

    def _rest(self) -> None:
        with self._changed:
            self._is_busy = False
            self._changed.notify_all()

    def _next(self) -> list[Record]:
        """Wait for records; none: it is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_over or self._pending)
            self._changed.wait_for(self._is_urgent, _FLUSH_EVERY_S)
            records, self._pending = ([], []) if self._is_over else (self._pending, [])
            self._is_busy = bool(records)
            return records

    def _is_urgent(self) -> bool:
        return self._is_over or self._is_waited_for or any(record["do"] != "metrics" for record in self._pending)

    def _give_up(self, error: Exception) -> None:
        with self._changed:
            if self._is_over:
                return
            self._is_over = True
            self._journal.seal()
            self._changed.notify_all()
        kept = f"all is kept in {self._journal.path}"
        print(f"{self._store.unreachable(error)}: {kept}; {REMEDY}", file=sys.stderr)
