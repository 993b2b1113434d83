"""Paths and object-store URIs (`gs://`, `s3://`) -> the same few verbs for both: open, list, put, get.

Credentials and endpoints are those of the stores' own tools: GOOGLE_APPLICATION_CREDENTIALS, AWS_PROFILE,
AWS_ENDPOINT_URL, STORAGE_EMULATOR_HOST.
"""

import os
import shutil
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec

from asr.errors import UserError

EXTRAS = {"gs": "gcp", "s3": "aws"}  # scheme -> the extra that can open it


@dataclass(frozen=True, slots=True)
class Stored:
    """A file as its store lists it; `version` changes when the content does (time of change, or etag)."""

    size_bytes: int
    version: str


def is_remote(path: str | Path) -> bool:
    """Whether it is the URI of an object store, and not a path of this machine."""
    return str(path).partition("://")[0] in EXTRAS and "://" in str(path)


def join(root: str | Path, name: str) -> str:
    return f"{str(root).rstrip('/')}/{name}"


def file_system(uri: str | Path) -> Any:
    """fsspec's file system of a path or URI. Raises `UserError` where the extra that can open it is not installed."""
    scheme = str(uri).partition("://")[0] if is_remote(uri) else "file"
    try:
        return fsspec.filesystem(scheme, use_listings_cache=False)
    except ImportError:
        extra = EXTRAS[scheme]
        raise UserError(f"{uri}: {scheme}:// needs the extra {extra}: pip install '.[{extra}]'") from None


def open_read(uri: str | Path) -> Any:
    """A seekable binary file, a context manager. Raises `OSError` where there is none."""
    return file_system(uri).open(str(uri), "rb")


def put(local: Path, uri: str | Path) -> None:
    """Moves a finished local file to where it belongs, whole or not at all."""
    if is_remote(uri):
        file_system(uri).put_file(str(local), str(uri))
        local.unlink()
        return
    Path(uri).parent.mkdir(parents=True, exist_ok=True)
    try:
        os.replace(local, uri)
    except OSError:  # another file system
        part = Path(f"{uri}.{os.getpid()}.part")
        shutil.copyfile(local, part)
        os.replace(part, uri)
        local.unlink()


def put_bytes(content: bytes, uri: str | Path) -> None:
    """Writes a small file, whole or not at all."""
    if is_remote(uri):
        file_system(uri).pipe_file(str(uri), content)
        return
    part = Path(f"{uri}.{os.getpid()}.part")
    part.parent.mkdir(parents=True, exist_ok=True)
    part.write_bytes(content)
    os.replace(part, uri)


def read_bytes(uri: str | Path) -> bytes:
    content: bytes = file_system(uri).cat_file(str(uri))
    return content


def below(root: str | Path) -> dict[str, Stored]:
    """Every file below a folder or prefix, by its name relative to it; nothing where there is none."""
    files = file_system(root)
    base = files._strip_protocol(str(root)).rstrip("/") + "/"
    found: dict[str, dict[str, Any]] = files.find(str(root), detail=True) if files.exists(str(root)) else {}
    return {path.removeprefix(base): _stored(info) for path, info in sorted(found.items())}


def stored(uris: Iterable[str]) -> dict[str, Stored]:
    """Those of `uris` that are files, as their stores list them: a request for each thousand objects of a folder."""
    folders: dict[str, list[str]] = defaultdict(list)
    for uri in uris:
        folders[uri.rpartition("/")[0]].append(uri)
    found: dict[str, Stored] = {}
    for folder, members in folders.items():
        files = file_system(members[0])
        try:
            infos = files.ls(folder, detail=True)
        except FileNotFoundError:
            continue
        listed = {info["name"]: _stored(info) for info in infos if info["type"] == "file"}
        for uri in members:
            if (entry := listed.get(files._strip_protocol(uri))) is not None:
                found[uri] = entry
    return found


def _stored(info: dict[str, Any]) -> Stored:
    version = next((info[name] for name in ("etag", "ETag", "mtime", "generation") if info.get(name)), "")
    return Stored(int(info["size"] or 0), str(version))
