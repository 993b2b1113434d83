"""URIs of object stores (`gs://`, `s3://`, and `hf://` to read) -> their clients, and their complaints in one line.

Credentials and endpoints are those of the stores' own tools: GOOGLE_APPLICATION_CREDENTIALS, AWS_PROFILE,
AWS_ENDPOINT_URL, STORAGE_EMULATOR_HOST. Safe in threads and forked processes: fsspec keeps a client for each process.
"""

import errno
import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from asr.errors import UserError

EXTRAS = {"gs": "gcp", "s3": "aws"}  # scheme -> the extra that can open it
CREDENTIALS = {
    "gs": "`gcloud auth application-default login`, or GOOGLE_APPLICATION_CREDENTIALS",
    "s3": "`aws configure`, or AWS_PROFILE (FSSPEC_S3_ANON=true reads a public bucket without)",
    "hf": "`hf auth login`, or HF_TOKEN",
}
ENDPOINTS = {"gs": "STORAGE_EMULATOR_HOST", "s3": "AWS_ENDPOINT_URL", "hf": "HF_ENDPOINT"}
# What S3 says of an account, not of an object: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
BAD_ACCOUNT = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "TokenRefreshRequired"}
CONNECT_S, READ_S = 10, 60  # timeouts of one try; aiohttp's own are 30 s and 5 minutes


def is_remote(path: str | Path) -> bool:
    """Whether it is the URI of an object store, and not a path of this machine."""
    return str(path).partition("://")[0] in CREDENTIALS and "://" in str(path)


def file_system(uri: str | Path) -> Any:
    """fsspec's file system of a URI, which never answers from an older listing.

    Raises `UserError` where the extra that can open it is not installed.
    """
    scheme = _scheme(uri)
    if scheme == "hf":
        return _hub()
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


def _hub() -> Any:
    from huggingface_hub import HfFileSystem, constants

    return HfFileSystem(endpoint=constants.ENDPOINT)


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
    clients = {
        "aiobotocore",
        "aiohttp",
        "botocore",
        "fsspec",
        "gcsfs",
        "google",
        "httpx2",
        "huggingface_hub",
        "requests",
        "s3fs",
    }
    return isinstance(error, OSError | ValueError) or type(error).__module__.partition(".")[0] in clients


def _explanation(uri: str, error: Exception) -> Exception:
    scheme, kind = _scheme(uri), type(error).__name__
    code = code_of(error)
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


def code_of(error: Exception) -> str:
    """The store's own code, of gcsfs' HttpError or of the error of botocore behind one of s3fs."""
    response = getattr(error.__cause__ or error, "response", None)
    if isinstance(response, dict):
        return str(response.get("Error", {}).get("Code", ""))
    return str(getattr(error, "code", None) or "")


def _scheme(uri: str | Path) -> str:
    return str(uri).partition("://")[0]
