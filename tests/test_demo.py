"""The page: a file is given to it in Chromium, and the words before and after are read."""

import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from asr.demo import shown
from asr.transcription.engines import load
from asr.transcription.recordings import Transcriber
from asr.transcription.transcript import Segment, Transcript, Word
from tests.chromium import browser, program
from tests.emulators import free_port

START_S = 90.0


@pytest.fixture(scope="module")
def address(real_base, tmp_path_factory):
    program()
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "asr.demo",
        "--model",
        str(real_base),
        "--base",
        str(real_base),
        "--port",
        str(port),
    ]
    log = tmp_path_factory.mktemp("demo") / "log"
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file)
    try:
        until_s = time.monotonic() + START_S
        while True:
            assert process.poll() is None and time.monotonic() < until_s, log.read_text()[-2000:]
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=5):
                    break
            except OSError:
                time.sleep(0.3)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def test_a_file_is_heard_before_and_after(address, real_base, real_clips, tmp_path):
    path = next(path for path, language, _ in real_clips if language == "es")
    expected = dict(Transcriber(load(real_base, "torch"), None).transcripts([path]))[path]
    with browser(tmp_path / "profile") as page:
        page.open(address, height=900)
        page.wait_for("!!document.querySelector('#speech input[type=file]')")
        page.upload("#speech input[type=file]", Path(path))
        page.wait_for("document.querySelectorAll('.heard').length == 2", longest_s=90)
        read = page.evaluate("[...document.querySelectorAll('.heard')].map(e => e.innerText)")
        foreign = [
            request for request in page.requests if not request.startswith((address, "data:", "blob:", "about:"))
        ]
        if folder := os.environ.get("SCREENSHOTS"):
            page.screenshot(Path(folder) / "demo.png")
    assert "times real time" in read[1]
    assert "".join(expected.text.split())[:40] in "".join(read[1].split())
    assert not foreign, foreign


def test_words_are_coloured_by_confidence_and_escaped():
    words = [Word(" <b>a</b>", 0.0, 0.5, 0.9), Word(" b", 0.5, 1.0, 0.6), Word(" c", 1.0, 1.5, 0.1)]
    made = shown(Transcript(2.0, "es", [Segment(0.0, 1.5, words)]), 0.5)
    assert '<span class="sure" title="90%, 0.00 to 0.50 s"> &lt;b&gt;a&lt;/b&gt;</span>' in made
    assert 'class="unsure"' in made and 'class="doubtful"' in made
    assert "Spanish · 2.0 s of sound in 0.50 s, 4.0 times real time" in made
    assert "no speech" in shown(Transcript(2.0, None), 0.5)
