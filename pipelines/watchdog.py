"""A worker that is gone -> the end of the job: one line on stderr and exit status 1, where Beam would wait for ever.

The process ends at once: Beam's own way out waits for the other workers, which may have hours left.
"""

import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from asr.secrets import printable
from asr.utterances import Seconds

RESUME = "the finished shards are kept: run it again"
CALL_BACK_S: Seconds = 90  # in which a worker has imported what it needs and connected
ASK_EVERY_S: Seconds = 2
MISSED = 3  # answers in a row, after which a pool is gone

# Threads of apache_beam's worker_handlers.py and data_plane.py, one a worker each.
ON_PROCESS = "run_worker"  # waits for the worker's process, and raises where it ends with an error
ON_CONTROL = "beam_control_read"  # reads what the worker answers, and raises where the connection breaks off
ON_DATA = "read_grpc_client_inputs"  # the same of its elements
_ending = threading.Lock()


@contextmanager
def ending_with_workers() -> Iterator[None]:
    """Ends this process when, within the block, a worker's process or its connection ends before its time."""

    def hook(args: threading.ExceptHookArgs) -> None:
        name = args.thread.name if args.thread else ""
        if name == ON_PROCESS:
            end(f"a Beam worker died (out of memory, or killed: {args.exc_value}); {RESUME}")
        if name in (ON_CONTROL, ON_DATA):
            end(f"a Beam worker died (out of memory, or killed), or the network to it; {RESUME}")
        before(args)

    before, threading.excepthook = threading.excepthook, hook
    data_plane = logging.getLogger("apache_beam.runners.worker.data_plane")
    level = data_plane.level
    data_plane.setLevel(logging.CRITICAL)  # its traceback of the same end
    try:
        yield
    finally:
        threading.excepthook = before
        data_plane.setLevel(level)


@contextmanager
def ending_with_pools(pools: list[str], n_workers: int) -> Iterator[None]:
    """Ends this process when, within the block, a pool answers no more, or not all workers call back in time.

    A machine that loses its power closes no connection, and a worker that cannot reach this machine makes none.
    """
    done = threading.Event()

    def watch() -> None:
        missed, started, called_back = dict.fromkeys(pools, 0), time.monotonic(), False
        while not done.wait(ASK_EVERY_S):
            for pool in pools:
                missed[pool] = 0 if answers(pool) else missed[pool] + 1
                if missed[pool] == MISSED:
                    end(f"the worker pool {pool} answers no more; {RESUME}")
            n_connected = sum(thread.name == ON_CONTROL for thread in threading.enumerate())
            called_back = called_back or n_connected >= n_workers
            if not called_back and time.monotonic() - started > CALL_BACK_S:
                here = socket.getfqdn()
                end(f"{n_connected} of {n_workers} workers have called back: can they reach this machine as {here}?")

    thread = threading.Thread(target=watch, name="ending_with_pools", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()


@contextmanager
def ending_with_interrupt(is_here: bool) -> Iterator[None]:
    """Ends this process at Ctrl-C within the block, where Beam would wait for its workers or print a traceback.

    A job that this process does not drive (`is_here` False) goes on where it runs.
    """
    line = RESUME if is_here else "the job goes on where it runs: cancel it there, or let it end and run this again"

    def interrupted(signum: int, frame: FrameType | None) -> None:
        end(f"interrupted; {line}", 128 + signum)

    before = signal.signal(signal.SIGINT, interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def answers(pool: str) -> bool:
    """Whether something listens at `host:port`."""
    host, _, port = pool.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=ASK_EVERY_S).close()
    except (OSError, ValueError):
        return False
    return True


def end(line: str, status: int = 1) -> NoReturn:
    _ending.acquire()  # and keep: the first of several threads to notice has the word
    print(f"error: {printable(line)}", file=sys.stderr, flush=True)
    os._exit(status)
