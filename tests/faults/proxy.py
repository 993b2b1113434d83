"""An object store on this machine, behind something that fails it: a proxy on loopback."""

import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any
from urllib.parse import urlsplit

EVERY = 3  # of the requests, one in so many
DELAY_S = 0.2
LARGE_BYTES = 1_000  # of a body that is worth cutting
ALL = ("503", "drops", "cuts", "429")


class Proxy(ThreadingHTTPServer):
    """Hands requests on to `target`, but for what `illness` says: an HTTP status, `slow`, `drops`, `cuts`, or `all`.

    `slow` is every request; of the others every third fails, by `all` each in another way.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, target: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target, self.illness = urlsplit(target).netloc, ""
        self.every, self.numbers = EVERY, count(1)
        self.n_failed = 0

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Proxy
    protocol_version = "HTTP/1.1"  # in which a client of S3 waits to be told to go on with a body

    def _answer(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        turn, rest = divmod(next(self.server.numbers), self.server.every)
        is_due = rest == 0
        illness = ALL[turn % len(ALL)] if self.server.illness == "all" else self.server.illness
        if illness == "slow":
            time.sleep(DELAY_S)
        elif illness.isdecimal() and is_due:
            self.server.n_failed += 1
            self.send_response(int(illness))
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        elif illness == "drops" and is_due:
            self.server.n_failed += 1
            self.close_connection = True
            self.connection.close()
            return
        self._hand_on(content, cut=illness == "cuts" and is_due)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _answer  # noqa: N815

    def _hand_on(self, content: bytes, *, cut: bool) -> None:
        connection = http.client.HTTPConnection(self.server.target)
        connection.request(self.command, self.path, content, dict(self.headers.items()))
        answer = connection.getresponse()
        body = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "connection", "date", "server"):
                self.send_header(name, value)
        if not answer.getheader("Content-Length"):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if cut and len(body) > LARGE_BYTES:
            self.server.n_failed += 1
            body = body[: len(body) // 2]
            self.close_connection = True
        if self.command != "HEAD":
            self.wfile.write(body)
        connection.close()

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def proxied(target: str) -> Iterator[Proxy]:
    """A proxy before `target`, until the end of the block."""
    proxy = Proxy(target)
    threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield proxy
    finally:
        proxy.shutdown()
        proxy.server_close()
