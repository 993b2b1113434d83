"""Paths and object-store URIs (`gs://`, `s3://`) -> the same few verbs for both: open, list, put, get.

What keeps a store from answering is a `UserError`; what one object lacks is an `OSError`, as for a file.
"""

import errno
import io
import os
import shutil
import stat
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeAlias

from asr.stores import code_of, explained, file_system, is_remote

CHUNK_BYTES = 64 * 2**20  # what is read by one request, and held in memory
PART_BYTES = 8 * 2**20  # of an upload; S3's client holds ten of them
N_LISTED_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Stored:
    """A file as its store lists it; `version` changes when the content does (time of change, or etag)."""

    size_bytes: int
    version: str


@dataclass(frozen=True, slots=True)
class Absent:
    """Nothing that can be read, and why."""

    why: str


Found: TypeAlias = Stored | Absent


def join(root: str | Path, name: str) -> str:
    return f"{str(root).rstrip('/')}/{name}"


def open_read(uri: str | Path) -> IO[bytes]:
    """A seekable binary file, a context manager. Raises `OSError` where there is none.

    That of an object store is read whole before this returns, with one request for each 64 MB, into memory or into an
    unnamed temporary file: decoders take an error in the middle for the file's end.
    """
    if not is_remote(uri):
        return open(uri, "rb")
    chunk = _chunk(uri, 0)
    if len(chunk) < CHUNK_BYTES:
        return io.BytesIO(chunk)
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    before = stored([str(uri)])
    with explained(uri):
        while chunk:
            file.write(chunk)
            chunk = _chunk(uri, file.tell()) if len(chunk) == CHUNK_BYTES else b""
    if stored([str(uri)]) != before:
        raise OSError(errno.ESTALE, "the object was replaced while it was read", str(uri))
    file.seek(0)
    return file


def _chunk(uri: str | Path, start: int) -> bytes:
    """Up to `CHUNK_BYTES` from `start`; none past the end."""
    with explained(uri):
        try:
            chunk: bytes = file_system(uri).cat_file(str(uri), start=start, end=start + CHUNK_BYTES)
        except Exception as error:
            if code_of(error) not in {"416", "InvalidRange"}:
                raise
            return b""
    return chunk


def open_parts(uri: str | Path) -> Any:
    """A seekable binary file of which parts are wanted: each read is one request, and nothing is read ahead.

    Reading may raise what a store's client raises: see `explained`.
    """
    if not is_remote(uri):
        return open(uri, "rb")
    with explained(uri):
        return file_system(uri).open(str(uri), "rb", cache_type="none")


def put(local: Path, uri: str | Path) -> None:
    """Moves a finished local file to where it belongs, whole or not at all; a large one in several parts."""
    if is_remote(uri):
        with explained(uri, needed=True):
            file_system(uri).put_file(str(local), str(uri), chunksize=PART_BYTES)
        local.unlink()
        return
    Path(uri).parent.mkdir(parents=True, exist_ok=True)
    try:
        os.replace(local, uri)
    except OSError:  # another file system
        part = Path(f"{uri}.{os.getpid()}.part")
        try:
            shutil.copyfile(local, part)
            os.replace(part, uri)
        finally:
            part.unlink(missing_ok=True)
        local.unlink()


def put_bytes(content: bytes, uri: str | Path) -> None:
    """Writes a small file, whole or not at all."""
    if is_remote(uri):
        with explained(uri, needed=True):
            file_system(uri).pipe_file(str(uri), content)
        return
    part = Path(f"{uri}.{os.getpid()}.part")
    part.parent.mkdir(parents=True, exist_ok=True)
    try:
        part.write_bytes(content)
        os.replace(part, uri)
    finally:
        part.unlink(missing_ok=True)


def remove(uri: str | Path) -> None:
    """Removes a file."""
    if is_remote(uri):
        with explained(uri, needed=True):
            file_system(uri).rm_file(str(uri))
    else:
        os.unlink(uri)


def read_bytes(uri: str | Path) -> bytes:
    with open_read(uri) as file:
        return file.read()


def is_folder(uri: str | Path) -> bool:
    """Whether it is a directory, or anything lies below it in its store."""
    if not is_remote(uri):
        return os.path.isdir(uri)
    with explained(uri, needed=True):
        try:
            return bool(file_system(uri).info(str(uri).rstrip("/"))["type"] == "directory")
        except FileNotFoundError:
            return False


def below(root: str | Path) -> dict[str, Stored]:
    """Every file below a folder or prefix, by its name relative to it; nothing where there is none."""
    if not is_remote(root):
        paths = sorted(Path(folder, name) for folder, _, names in os.walk(root) for name in names)
        found = {path.relative_to(root).as_posix(): _stored_here(str(path)) for path in paths}
        return {name: entry for name, entry in found.items() if isinstance(entry, Stored)}
    files = file_system(root)
    base = files._strip_protocol(str(root)).rstrip("/") + "/"
    with explained(root, needed=True):
        try:
            infos: dict[str, dict[str, Any]] = files.find(str(root), detail=True)
        except FileNotFoundError:
            infos = {}
    return {path.removeprefix(base): _stored(info) for path, info in sorted(infos.items())}


def stored(uris: Iterable[str]) -> dict[str, Found]:
    """Each of `uris` as its store lists it: a request for each thousand objects of a folder.

    Raises `UserError` where a store does not answer: what can't be looked up is not said to be absent.
    """
    found: dict[str, Found] = {}
    folders: dict[str, list[str]] = defaultdict(list)
    for uri in uris:
        if not is_remote(uri):
            found[uri] = _stored_here(uri)
        elif "/" not in uri.partition("://")[2]:
            found[uri] = Absent("it names a bucket and no object in it")
        else:
            folders[uri.rpartition("/")[0]].append(uri)
    if folders:
        with ThreadPoolExecutor(N_LISTED_AT_ONCE) as pool:
            for listed in pool.map(_listed, folders, folders.values()):
                found |= listed
    return found


def _stored_here(path: str) -> Found:
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:  # ValueError: no file's name, with a zero byte or half of a surrogate pair
        return Absent(getattr(error, "strerror", None) or str(error))
    if not stat.S_ISREG(status.st_mode):
        return Absent("not a file")
    return Stored(status.st_size, str(status.st_mtime_ns))


def _listed(folder: str, members: list[str]) -> dict[str, Found]:
    """The members of a folder, or the only one that is wanted of it."""
    files = file_system(folder)
    try:
        with explained(folder):
            infos = [files.info(members[0])] if len(members) == 1 else files.ls(folder, detail=True)
    except OSError as error:
        return dict.fromkeys(members, Absent(error.strerror or str(error)))
    by_name = {info["name"]: _stored(info) for info in infos if info["type"] == "file"}
    return {uri: by_name.get(files._strip_protocol(uri), Absent("there is no such object")) for uri in members}


def _stored(info: dict[str, Any]) -> Stored:
    version = next((info[name] for name in ("generation", "etag", "ETag") if info.get(name)), "")
    return Stored(int(info["size"] or 0), str(version))
