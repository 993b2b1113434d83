"""A model hub of our own on this machine, as far as huggingface_hub asks it in order to publish."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "hf_" + "Ab3" * 11
USER = "me"
LARGE = (".safetensors", ".bin")


@dataclass(frozen=True)
class Commit:
    oid: str
    message: str
    files: dict[str, bytes]


@dataclass
class Repository:
    """A new one has a first commit, as those of the real hub."""

    is_private: bool
    branches: dict[str, list[Commit]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.commit("main", "initial commit", {".gitattributes": b"*.safetensors filter=lfs\n"})

    def commit(self, branch: str, message: str, files: dict[str, bytes]) -> Commit:
        history = self.branches.setdefault(branch, [])
        kept = history[-1].files if history else {}
        oid = hashlib.sha1(f"{branch} {len(history)} {message}".encode()).hexdigest()
        history.append(Commit(oid, message, kept | files))
        return history[-1]

    def at(self, revision: str) -> Commit | None:
        """By the name of a branch or the id of a commit."""
        everything = [commit for history in self.branches.values() for commit in history]
        by_id = {commit.oid: commit for commit in everything}
        return self.branches[revision][-1] if revision in self.branches else by_id.get(revision)


class FakeHub(ThreadingHTTPServer):
    """`repos` by OWNER/NAME; TOKEN may write to those of USER. `asked` has each method and path.

    `ills`: a part of a path -> the status that it is answered with. `ignored`: what .gitignore on the hub would match.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repos: dict[str, Repository] = {}
        self.large: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.ills: dict[str, int] = {}
        self.ignored: set[str] = set()
        self.role = "write"

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def writes(self) -> list[str]:
        """What was asked that changes anything."""
        return [entry for entry in self.asked if entry.split()[0] != "GET" and "validate-yaml" not in entry]


class _Handler(BaseHTTPRequestHandler):
    server: FakeHub

    def do_GET(self) -> None:
        match self._parts():
            case None:
                return
            case ["api", "whoami-v2"]:
                token = {"accessToken": {"displayName": "a token", "role": self.server.role}}
                self._answer({"name": USER, "type": "user", "orgs": [], "auth": token})
            case ["api", "models", owner, name, *revision]:
                self._model(f"{owner}/{name}", revision[1] if revision else "main")
            case _:
                self._answer({}, 404)

    def do_POST(self) -> None:
        body = self._body()
        match self._parts():
            case None:
                return
            case ["api", "validate-yaml"]:
                self._validate(json.loads(body)["content"])
            case ["lfs", "verify"]:
                asked = json.loads(body)
                self._answer({}, 200 if len(self.server.large.get(asked["oid"], b"")) == asked["size"] else 404)
            case _ if not self._may_write():
                self._answer({}, 401)
            case ["api", "repos", "create"]:
                self._create(json.loads(body))
            case [_, name, "info", "lfs", "objects", "batch"] if name.endswith(".git"):
                objects = json.loads(body)["objects"]
                self._answer({"transfer": "basic", "objects": [self._transfer(entry) for entry in objects]})
            case ["api", "models", owner, name, action, revision] if repo := self.server.repos.get(f"{owner}/{name}"):
                self._change(f"{owner}/{name}", repo, action, revision, body)
            case _:
                self._answer({}, 404, "RepoNotFound")

    def do_PUT(self) -> None:
        """A large file, to an address that needs no token, as that of an object store."""
        content = self._body()
        match self._parts():
            case ["lfs", oid] if hashlib.sha256(content).hexdigest() == oid:
                self.server.large[oid] = content
                self._answer({})
            case parts if parts is not None:
                self._answer({}, 400)

    def _model(self, name: str, revision: str) -> None:
        repo = self.server.repos.get(name)
        if repo is None or (repo.is_private and not self._may_write()):
            self._answer({}, 404 if self._may_write() else 401, "RepoNotFound")
        elif (commit := repo.at(revision)) is None:
            self._answer({}, 404, "RevisionNotFound")
        else:
            siblings = [{"rfilename": file} for file in commit.files]
            self._answer({"id": name, "private": repo.is_private, "sha": commit.oid, "siblings": siblings})

    def _validate(self, card: str) -> None:
        if "license: mine" in card:
            self._answer({"errors": [{"message": '"license" must be one of [apache-2.0, mit]'}], "warnings": []}, 400)
        else:
            self._answer({"errors": [], "warnings": []})

    def _create(self, asked: dict[str, Any]) -> None:
        name = f"{asked['organization']}/{asked['name']}"
        if asked["organization"] != USER:
            self._answer({"error": "no rights"}, 403)
        elif name in self.server.repos:
            self._answer({"error": "You already created this model repo"}, 409)
        else:
            self.server.repos[name] = Repository(asked.get("visibility") == "private")
            self._answer({"url": f"{self.server.endpoint}/{name}", "id": name})

    def _transfer(self, entry: dict[str, Any]) -> dict[str, Any]:
        if entry["oid"] in self.server.large:
            return entry
        upload = {"href": f"{self.server.endpoint}/lfs/{entry['oid']}"}
        return entry | {"actions": {"upload": upload, "verify": {"href": f"{self.server.endpoint}/lfs/verify"}}}

    def _change(self, name: str, repo: Repository, action: str, revision: str, body: bytes) -> None:
        if action == "branch":
            repo.branches[revision] = list(repo.branches["main"])
            self._answer({})
        elif revision not in repo.branches:
            self._answer({}, 404, "RevisionNotFound")
        elif action == "preupload":
            present = repo.branches[revision][-1].files
            self._answer({"files": [self._mode(entry, present) for entry in json.loads(body)["files"]]})
        else:
            self._commit(name, repo, revision, [json.loads(line) for line in body.splitlines()])

    def _mode(self, entry: dict[str, Any], present: dict[str, bytes]) -> dict[str, Any]:
        """How a file is to be sent, and the hash of the one that is there."""
        path = entry["path"]
        content, is_large = present.get(path), path.endswith(LARGE)
        oid = None
        if content is not None and is_large:
            oid = hashlib.sha256(content).hexdigest()
        elif content is not None:
            oid = hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()
        mode = "lfs" if is_large else "regular"
        return {"path": path, "uploadMode": mode, "shouldIgnore": path in self.server.ignored, "oid": oid}

    def _commit(self, name: str, repo: Repository, revision: str, lines: list[dict[str, Any]]) -> None:
        files = {}
        for line in lines[1:]:
            value = line["value"]
            is_large = line["key"] == "lfsFile"
            files[value["path"]] = self.server.large[value["oid"]] if is_large else base64.b64decode(value["content"])
        made = repo.commit(revision, lines[0]["value"]["summary"], files)
        self._answer({"commitUrl": f"{self.server.endpoint}/{name}/commit/{made.oid}", "commitOid": made.oid})

    def _parts(self) -> list[str] | None:
        """Of the path; None where the hub is ill there, or refuses the token, and has answered so."""
        path = self.path.split("?")[0]
        self.server.asked.append(f"{self.command} {path}")
        status = next((status for part, status in self.server.ills.items() if part in path), None)
        if status is not None:
            self._answer({}, status)
        elif self.headers.get("Authorization") and not self._may_write():
            self._answer({}, 401, message="Invalid credentials in Authorization header")
        else:
            return path.strip("/").split("/")
        return None

    def _may_write(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _answer(self, answer: dict[str, Any], status: int = 200, code: str = "", message: str = "") -> None:
        content = json.dumps(answer).encode()
        self.send_response(status)
        for name, value in {"X-Error-Code": code, "X-Error-Message": message}.items():
            if value:
                self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def fake_hub() -> Iterator[FakeHub]:
    """One that listens on this machine until the end of the block."""
    hub = FakeHub()
    threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
