"""A model hub on this machine that is ill when a test says so."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

COMMIT = "c" * 40
PATIENCE_S, N_PIECES = 2, 6
CHECKPOINT = {"model": {"checkpoint": "a/whisper"}}


def hub_environment(address: str, home: Path) -> dict[str, str]:
    """That leads to a hub at this address, with an empty cache in `home`."""
    own = {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DOWNLOAD_TIMEOUT": str(PATIENCE_S)}
    return {"HF_ENDPOINT": address, "HF_HOME": str(home), **own}


class Hub(ThreadingHTTPServer):
    """A model hub with one checkpoint, `a/whisper`, which answers by `illness`: None is well."""

    daemon_threads = True

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files, self.illness = files, ""
        self.is_closed = threading.Event()

    def environment(self, home: Path) -> dict[str, str]:
        """That leads to it, with an empty cache in `home`."""
        address = f"http://127.0.0.1:{self.server_port}"
        return hub_environment(address, home)


class _Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_GET(self) -> None:
        parts = self.path.split("?")[0].strip("/").split("/")
        name, is_api = parts[-1], parts[0] == "api"
        match self.server.illness:
            case "hangs":
                self.server.is_closed.wait()
            case "garbage":
                self._send(b"\x00{not json" * 9)
            case "portal":
                self._send(b"<html><body>Please sign in to this network.</body></html>", {"Content-Type": "text/html"})
            case "redirects":
                self._send(b"", {"Location": self.path}, 302)
            case "asks for patience":
                self._send(b"", {"Retry-After": "1"}, 429)
            case "is not told who asks":
                self._send(b"{}", {"X-Error-Code": "GatedRepo"}, 401)
            case "does not know it":
                self._send(b"{}", {"X-Error-Code": "RepoNotFound"}, 404)
            case _ if is_api and "tree" in parts:
                entries = [
                    {"type": "file", "path": path, "size": len(content), "oid": path}
                    for path, content in self.server.files.items()
                ]
                self._send(json.dumps(entries).encode())
            case _ if is_api:
                siblings = [{"rfilename": path} for path in self.server.files]
                self._send(json.dumps({"id": "a/whisper", "sha": COMMIT, "siblings": siblings}).encode())
            case illness:
                self._send_file(name, illness)

    do_HEAD = do_GET  # noqa: N815

    def _send_file(self, name: str, illness: str) -> None:
        content = self.server.files[name]
        if name.endswith(".safetensors") and illness == "sends garbage":
            content = content[:1000] + b"\xff" * (len(content) - 1000)
        headers = {"ETag": f'"{name}"', "X-Repo-Commit": COMMIT, "Content-Length": str(len(content))}
        if name.endswith(".safetensors") and illness == "breaks off" and self.command == "GET":
            content = content[: len(content) // 2]
        if name.endswith(".safetensors") and illness in ("stalls", "is slow") and self.command == "GET":
            self._send_slowly(content, headers, stalls=illness == "stalls")
        else:
            self._send(content, headers)

    def _send_slowly(self, content: bytes, headers: dict[str, str], *, stalls: bool) -> None:
        """In pieces, in more time than a client waits for one; `stalls`: the first alone."""
        self.send_response(200)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        size = len(content) // N_PIECES + 1
        for start in range(0, len(content), size):
            self.wfile.write(content[start : start + size])
            if stalls:
                self.server.is_closed.wait()
                return
            self.server.is_closed.wait(1.5 * PATIENCE_S / N_PIECES)

    def _send(self, content: bytes, headers: dict[str, str] | None = None, status: int = 200) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def model_hub(base: Path) -> Iterator[Hub]:
    """One that gives the checkpoint in `base`, until the end of the block."""
    hub = Hub({path.name: path.read_bytes() for path in base.iterdir()})
    threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield hub
    finally:
        hub.is_closed.set()
        hub.shutdown()
        hub.server_close()
