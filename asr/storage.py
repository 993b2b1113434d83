"""Paths and object-store URIs (`gs://`, `s3://`) -> the same few verbs for both: open, list, put, get.

Credentials and endpoints are those of the stores' own tools: GOOGLE_APPLICATION_CREDENTIALS, AWS_PROFILE,
AWS_ENDPOINT_URL, STORAGE_EMULATOR_HOST. What keeps a store from answering is a `UserError`; what one object lacks is an
`OSError`, as for a file. Safe in threads and in forked processes: fsspec keeps a client for each process.
"""

import errno
import io
import logging
import os
import shutil
import stat
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any, TypeAlias

from asr.errors import UserError

EXTRAS = {"gs": "gcp", "s3": "aws"}  # scheme -> the extra that can open it
CREDENTIALS = {
    "gs": "`gcloud auth application-default login`, or GOOGLE_APPLICATION_CREDENTIALS",
    "s3": "`aws configure`, or AWS_PROFILE (FSSPEC_S3_ANON=true reads a public bucket without)",
}
ENDPOINTS = {"gs": "STORAGE_EMULATOR_HOST", "s3": "AWS_ENDPOINT_URL"}
# What S3 says of an account, not of an object: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
BAD_ACCOUNT = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "TokenRefreshRequired"}
CHUNK_BYTES = 64 * 2**20  # what is read by one request, and held in memory
PART_BYTES = 8 * 2**20  # of an upload; S3's client holds ten of them
CONNECT_S, READ_S = 10, 60  # timeouts of one try; aiohttp's own are 30 s and 5 minutes
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


def is_remote(path: str | Path) -> bool:
    """Whether it is the URI of an object store, and not a path of this machine."""
    return str(path).partition("://")[0] in EXTRAS and "://" in str(path)


def join(root: str | Path, name: str) -> str:
    return f"{str(root).rstrip('/')}/{name}"


def file_system(uri: str | Path) -> Any:
    """fsspec's file system of a URI, which never answers from an older listing.

    Raises `UserError` where the extra that can open it is not installed.
    """
    scheme = _scheme(uri)
    try:
        return _google_cloud() if scheme == "gs" else _s3()
    except ImportError:
        extra = EXTRAS[scheme]
        raise UserError(f"{uri}: {scheme}:// needs the extra {extra}: pip install '.[{extra}]'") from None


def _s3() -> Any:
    from s3fs import S3FileSystem

    # Clients are kept by their arguments, so that another endpoint gets another one.
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    return S3FileSystem(use_listings_cache=False, **({"endpoint_url": endpoint} if endpoint else {}))


def _google_cloud() -> Any:
    import aiohttp

    # Not the class that fsspec picks: that one asks by gRPC, which survives no fork, what kind the bucket is.
    from gcsfs.core import GCSFileSystem

    logging.getLogger("gcsfs").setLevel(logging.CRITICAL)  # it logs the traceback of what it also raises
    return GCSFileSystem(
        token="anon" if os.environ.get("STORAGE_EMULATOR_HOST") else _google_credentials(),
        requests_timeout=aiohttp.ClientTimeout(sock_connect=CONNECT_S, sock_read=READ_S),
        use_listings_cache=False,
    )


@cache
def _google_credentials() -> Any:
    """The user's or the machine's; "anon", which reads public buckets, where there are none."""
    import google.auth
    from google.auth.exceptions import GoogleAuthError

    # gcsfs' own search goes on, for another ten seconds, where this one has found nothing.
    try:
        return google.auth.default(scopes=["https://www.googleapis.com/auth/devstorage.read_write"])[0]
    except GoogleAuthError:
        return "anon"


@contextmanager
def explained(uri: str | Path, *, needed: bool = False) -> Iterator[None]:
    """Turns whatever a store's client raises into one line that names `uri` and the remedy.

    Raises FileNotFoundError or PermissionError for what one object lacks, or `UserError` for that too where `needed`;
    `UserError` where the store, the account or the name is at fault. Errors of local files pass unchanged.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if not is_remote(uri) or not _is_of_a_client(error):
            raise
        explanation = _explanation(str(uri), error)
        if needed and isinstance(explanation, OSError):
            remedy = "check its name, and that you may list, read and write there"
            raise UserError(f"{uri}: {explanation.strerror}; {remedy}") from error
        raise explanation from error


def _is_of_a_client(error: Exception) -> bool:
    """By module, since neither client need be installed. gcsfs raises ValueError for some answers."""
    clients = {"aiobotocore", "aiohttp", "botocore", "fsspec", "gcsfs", "google", "requests", "s3fs"}
    return isinstance(error, OSError | ValueError) or type(error).__module__.partition(".")[0] in clients


def _explanation(uri: str, error: Exception) -> Exception:
    scheme, kind = _scheme(uri), type(error).__name__
    code = _code(error)
    if code in BAD_ACCOUNT | {"401"} or "Credential" in kind or type(error).__module__.startswith("google.auth"):
        # Without the client's own words, which may quote an account.
        return UserError(f"{uri}: no valid credentials for {scheme}://; give some: {CREDENTIALS[scheme]}")
    if isinstance(error, FileNotFoundError):
        return FileNotFoundError(errno.ENOENT, "there is no such object, or no such bucket", uri)
    if isinstance(error, PermissionError) or code == "403" or str(error).startswith("Forbidden"):
        return PermissionError(errno.EACCES, "this account has no permission for it", uri)
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return UserError(f"{uri}: no space left in {tempfile.gettempdir()}, where large files are read to; set TMPDIR")
    if isinstance(error, TimeoutError) or "Connect" in kind or "Timeout" in kind:
        endpoint = ENDPOINTS[scheme]
        hint = f"is {endpoint} right?" if os.environ.get(endpoint) else "is there a network?"
        return UserError(f"{uri}: the store cannot be reached; {hint} Finished work is kept: run it again")
    return UserError(f"{uri}: the store refuses: {' '.join(str(error).split())[:200]} ({kind})")


def _code(error: Exception) -> str:
    """The store's own code, of gcsfs' HttpError or of the error of botocore behind one of s3fs."""
    response = getattr(error.__cause__ or error, "response", None)
    if isinstance(response, dict):
        return str(response.get("Error", {}).get("Code", ""))
    return str(getattr(error, "code", None) or "")


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
    with explained(uri):
        while chunk:
            file.write(chunk)
            chunk = _chunk(uri, file.tell()) if len(chunk) == CHUNK_BYTES else b""
    file.seek(0)
    return file


def _chunk(uri: str | Path, start: int) -> bytes:
    """Up to `CHUNK_BYTES` from `start`; none past the end."""
    with explained(uri):
        try:
            chunk: bytes = file_system(uri).cat_file(str(uri), start=start, end=start + CHUNK_BYTES)
        except Exception as error:
            if _code(error) not in {"416", "InvalidRange"}:
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
        shutil.copyfile(local, part)
        os.replace(part, uri)
        local.unlink()


def put_bytes(content: bytes, uri: str | Path) -> None:
    """Writes a small file, whole or not at all."""
    if is_remote(uri):
        with explained(uri, needed=True):
            file_system(uri).pipe_file(str(uri), content)
        return
    part = Path(f"{uri}.{os.getpid()}.part")
    part.parent.mkdir(parents=True, exist_ok=True)
    part.write_bytes(content)
    os.replace(part, uri)


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


def _scheme(uri: str | Path) -> str:
    return str(uri).partition("://")[0]
