"""A tracking server that takes what MLflow's client logs, and falls ill when a test says so."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

INFO = {"run_id": "a" * 32, "run_uuid": "a" * 32, "experiment_id": "1", "status": "RUNNING", "start_time": 1}
ANSWERS: dict[str, Any] = {
    "experiments/get-by-name": {"experiment": {"experiment_id": "1", "name": "e", "artifact_location": "file:///x"}},
    "runs/create": {"run": {"info": INFO, "data": {}}},
    "runs/update": {"run_info": INFO},
    "runs/get": {"run": {"info": INFO, "data": {}}},
}


REFUSALS: dict[str, tuple[int, dict[str, Any]]] = {
    "errs": (500, {}),
    "is full": (500, {"error_code": "INTERNAL_ERROR", "message": "database or disk is full"}),
    "knows nobody": (401, {"error_code": "UNAUTHENTICATED", "message": "You are not authenticated."}),
}


class TrackingServer(ThreadingHTTPServer):
    """`illness`: None, `hangs` (accepts and never answers), `drips` (a byte now and then), or the name of a refusal."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.illness: str | None = None
        self.answer_after_s = 0.0
        self.asked: list[str] = []
        self.is_closed = threading.Event()

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: TrackingServer

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        endpoint = self.path.partition("/mlflow/")[2].partition("?")[0]
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append(endpoint)
        match self.server.illness:
            case "hangs":
                self.server.is_closed.wait()
            case "drips":
                self._drip()
            case str(illness):
                status, body = REFUSALS[illness]
                self._send(status, body)
            case _:
                time.sleep(self.server.answer_after_s)
                self._send(200, ANSWERS.get(endpoint, {}))

    def _send(self, status: int, answer: dict[str, Any]) -> None:
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _drip(self) -> None:
        self.wfile.write(b"HTTP/1.0 200 OK\r\nX-Drip: ")
        while not self.server.is_closed.wait(0.1):
            self.wfile.write(b".")
            self.wfile.flush()

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def tracking_server() -> Iterator[TrackingServer]:
    """One that listens on this machine until the end of the block."""
    server = TrackingServer()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield server
    finally:
        server.is_closed.set()
        server.shutdown()
        server.server_close()
