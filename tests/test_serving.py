"""What `mlflow models serve` answers to the bytes of audio files, asked over HTTP from outside."""

import base64
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from asr.experiments.packaging import package
from asr.transcription.engines import load
from asr.transcription.recordings import Transcriber
from tests.emulators import free_port

START_S = 90.0


@pytest.fixture(scope="module")
def served(scratch, tmp_path_factory):
    """The address of a server of the packaged checkpoint, which runs in a folder without the project."""
    folder = tmp_path_factory.mktemp("served")
    package(scratch, folder / "package")
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(folder / "package")]
    command += ["--env-manager", "local", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    try:
        until_s = time.monotonic() + START_S
        while True:
            assert process.poll() is None and time.monotonic() < until_s, (folder / "log").read_text()[-2000:]
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=5):
                    break
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.3)
        yield f"http://127.0.0.1:{port}/invocations"
    finally:
        process.terminate()
        process.wait()


def ask(address, *rows):
    body = json.dumps({"dataframe_records": list(rows)}).encode()
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read())["predictions"]


def of_bytes(content, **columns):
    return {"audio": base64.b64encode(content).decode(), **columns}


def test_audio_bytes_are_answered_with_their_text(served, scratch, real_clips):
    paths = [path for path, language, _ in real_clips if language == "es"][:2]
    expected = dict(Transcriber(load(scratch, "torch"), "es").transcripts(paths))
    found = ask(served, *(of_bytes(Path(path).read_bytes(), language="es") for path in paths))
    assert [row["text"] for row in found] == [expected[path].text for path in paths]
    assert all(row["language"] == "es" and row["error"] == "" and 0 < row["confidence"] <= 1 for row in found)
    assert found[0]["duration_s"] == pytest.approx(expected[paths[0]].duration_s)


def test_a_language_may_be_left_out_of_some_rows(served, real_clips):
    content = Path(real_clips[0][0]).read_bytes()
    with_one, without = ask(served, of_bytes(content, language="es"), of_bytes(content))
    assert with_one["language"] == "es" and without["error"] == "" and len(without["language"]) in (2, 3)


def test_what_is_no_audio_is_said_in_its_own_row(served, real_clips):
    good, bad, unknown = ask(
        served,
        of_bytes(Path(real_clips[0][0]).read_bytes(), language="es"),
        of_bytes(b"no audio", language="es"),
        of_bytes(Path(real_clips[0][0]).read_bytes(), language="xx"),
    )
    assert good["error"] == "" and good["text"]
    assert bad["text"] == "" and bad["error"].startswith("undecodable audio")
    assert unknown["error"].startswith("refused: language 'xx'")
