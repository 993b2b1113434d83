"""A dataset hub of our own on this machine, as far as huggingface_hub asks it."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from huggingface_hub import HfFileSystem, constants

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(ThreadingHTTPServer):
    """`datasets` are name -> file -> bytes; `asked` are the files that were asked for, `n_bytes` what was sent."""

    daemon_threads = True

    def __init__(self, datasets: dict[str, dict[str, bytes]]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.datasets = datasets
        self.commit = COMMIT
        self.asked: list[str] = []
        self.n_bytes = 0

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_GET(self) -> None:
        parts = self.path.split("?")[0].strip("/").split("/")
        is_api = parts[0] == "api"
        owner, rest = "/".join(parts[1 + is_api : 3 + is_api]), parts[3 + is_api :]
        files = self.server.datasets.get(owner)
        if files is None:
            self._answer(b"{}", 404, {"X-Error-Code": "RepoNotFound"})
        elif rest[1:2] and rest[1] not in ("main", self.server.commit):
            self._answer(b"{}", 404, {"X-Error-Code": "RevisionNotFound"})
        elif is_api and rest[:1] == ["tree"]:
            self._answer(json.dumps([_entry(name, content) for name, content in files.items()]).encode())
        elif is_api:
            siblings = [{"rfilename": name} for name in files]
            self._answer(json.dumps({"id": owner, "sha": self.server.commit, "siblings": siblings}).encode())
        else:
            self._send("/".join(rest[2:]), files)

    do_HEAD = do_GET  # noqa: N815

    def do_POST(self) -> None:
        """paths-info: which of some paths there are."""
        owner = "/".join(self.path.strip("/").split("/")[2:4])
        wanted = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["paths"]
        files = self.server.datasets[owner]
        self._answer(json.dumps([_entry(name, files[name]) for name in wanted if name in files]).encode())

    def _send(self, name: str, files: dict[str, bytes]) -> None:
        if name not in files:
            self._answer(b"", 404, {"X-Error-Code": "EntryNotFound"})
            return
        content = files[name]
        headers = {"ETag": f'"{name}-{len(content)}"', "X-Repo-Commit": self.server.commit}
        wanted = self.headers.get("Range")
        if self.command == "GET":
            self.server.asked.append(name)
        if wanted:
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            part = content[int(first) : int(last) + 1 if last else None]
            headers["Content-Range"] = f"bytes {first}-{int(first) + len(part) - 1}/{len(content)}"
            self._answer(part, 206, headers)
        else:
            self._answer(content, headers=headers)

    def _answer(self, content: bytes, code: int = 200, headers: dict[str, str] | None = None) -> None:
        self.send_response(code)
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
            self.server.n_bytes += len(content)

    def log_message(self, *_: object) -> None:
        pass


def _entry(name: str, content: bytes) -> dict[str, object]:
    return {"type": "file", "path": name, "size": len(content), "oid": f"{name}-{len(content)}"}


@contextmanager
def serving(datasets: dict[str, dict[str, bytes]], monkeypatch: pytest.MonkeyPatch, cache: str) -> Iterator[Hub]:
    """A hub that huggingface_hub asks until the end of the block, with an empty cache."""
    hub = Hub(datasets)
    threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    template = hub.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "ENDPOINT", hub.endpoint)  # HF_ENDPOINT is read when the library is imported
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", cache)
    HfFileSystem.clear_instance_cache()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
