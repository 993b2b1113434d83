"""Object stores on this machine -> fixtures: an empty prefix in a bucket, and the environment that leads to it.

A test module that uses them says `pytest_plugins = ["tests.emulators"]`. Processes started by a test inherit the
environment, and so reach the same store.
"""

import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

BUCKET = "corpora"
START_S = 60


@contextmanager
def gcs_emulator() -> Iterator[str]:
    """The endpoint of a Google Cloud Storage that keeps all in memory, with the bucket `BUCKET`."""
    command = ["gcp_storage_emulator", "start", "--in-memory", "--quiet", "--host=127.0.0.1"]
    with _served([*command, f"--default-bucket={BUCKET}"]) as endpoint:
        yield endpoint


@contextmanager
def s3_emulator() -> Iterator[str]:
    """The endpoint of an S3 that keeps all in memory, with the bucket `BUCKET`."""
    with _served(["moto.server", "--host=127.0.0.1"]) as endpoint:
        urllib.request.urlopen(urllib.request.Request(f"{endpoint}/{BUCKET}", method="PUT"), timeout=START_S).close()
        yield endpoint


@contextmanager
def _served(command: list[str]) -> Iterator[str]:
    port = free_port()
    with subprocess.Popen(
        [sys.executable, "-m", *command, f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            _wait_for(endpoint := f"http://127.0.0.1:{port}", process)
            yield endpoint
        finally:
            process.kill()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


def _wait_for(endpoint: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            urllib.request.urlopen(endpoint, timeout=START_S).close()
        except urllib.error.HTTPError:
            return  # it answers
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"{process.args} did not answer at {endpoint} (exit code {process.poll()})")


@pytest.fixture(scope="session")
def gcs_endpoint() -> Iterator[str]:
    with gcs_emulator() as endpoint:
        yield endpoint


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    with s3_emulator() as endpoint:
        yield endpoint


@pytest.fixture
def gs(gcs_endpoint: str, no_credentials: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty prefix, gs://bucket/prefix."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs_endpoint)
    return f"gs://{BUCKET}/{uuid.uuid4().hex[:8]}"


@pytest.fixture
def s3(s3_endpoint: str, no_credentials: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty prefix, s3://bucket/prefix."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test-secret")
    return f"s3://{BUCKET}/{uuid.uuid4().hex[:8]}"


@pytest.fixture(params=["gs", "s3"])
def store(request: pytest.FixtureRequest) -> str:
    """An empty prefix in each of both stores."""
    uri: str = request.getfixturevalue(request.param)
    return uri


@pytest.fixture
def no_credentials(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder in which nobody has an account, and no machine's own account is asked for."""
    home = tmp_path_factory.mktemp("home")
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3", "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL", "STORAGE_EMULATOR_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(home / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(home / "credentials"))
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    return home
