"""Paths in the order in which they are wanted -> opened files, those of object stores fetched while others are decoded.

An answer of a store takes longer than decoding a clip, so that without this a processor would mostly wait.
"""

from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import IO, Self

from asr import storage

REQUESTS = 16  # under way together
HELD_BYTES = 32 * 2**20  # fetched and waiting, by the sizes that are told; the next one is fetched in any case


class Ahead:
    """`wanted` are path and size in bytes of each file. A context manager; `open_read` takes them in their order."""

    def __init__(self, wanted: Iterable[tuple[str, int]]) -> None:
        self._waiting = deque((path, size) for path, size in wanted if storage.is_remote(path))
        self._coming: deque[tuple[str, int, Future[IO[bytes]]]] = deque()
        self._threads = ThreadPoolExecutor(REQUESTS) if self._waiting else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._threads:
            self._threads.shutdown(cancel_futures=True)

    def open_read(self, path: str) -> IO[bytes]:
        """As `storage.open_read`, and raises what that raises."""
        if not self._threads or not storage.is_remote(path):
            return storage.open_read(path)
        self._fetch()
        expected, _, coming = self._coming.popleft()
        assert path == expected, f"{path} was opened where {expected} was wanted"
        self._fetch()
        return coming.result()

    def _fetch(self) -> None:
        assert self._threads
        while self._waiting and len(self._coming) < REQUESTS:
            path, size = self._waiting[0]
            if self._coming and sum(size for _, size, _ in self._coming) + size > HELD_BYTES:
                return
            self._waiting.popleft()
            self._coming.append((path, size, self._threads.submit(storage.open_read, path)))
