"""`python -m asr.tracking ui`: MLflow's pages, in a browser, of a run that has ended."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from asr.experiments.run import EXPERIMENT, Run
from tests.chromium import browser
from tests.repositories import ROOT

STARTS_S = 60.0
SCORES = {"wer": 0.0913, "baseline.wer": 0.7518, "cer": 0.0275, "language.es.wer": 0.1, "language.es.baseline.wer": 0.8}


@pytest.fixture
def address(experiments: Path, client: Any) -> Iterator[str]:
    """Where the pages of the database are."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {"MLFLOW_PORT": str(port), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "asr.tracking", "ui"]
    with (experiments / "ui.log").open("w") as log:
        server = subprocess.Popen(command, cwd=experiments, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            _wait_for(f"http://127.0.0.1:{port}/health", server)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(timeout=20)


def _wait_for(address: str, server: subprocess.Popen[bytes]) -> None:
    until_s = time.monotonic() + STARTS_S
    while True:
        try:
            urllib.request.urlopen(address, timeout=5).close()
        except OSError:
            assert server.poll() is None, "the server has ended"
            assert time.monotonic() < until_s, "the server has not started"
            time.sleep(0.2)
        else:
            return


def test_the_pages_show_a_run_its_word_error_rate_and_its_report(address: str, client: Any, tmp_path: Path) -> None:
    report = tmp_path / "report"
    report.mkdir()
    (report / "report.html").write_text("<h1>Training helped</h1>")
    with Run("train", journal=tmp_path / "journal") as train:
        train.log_params({"train": {"learning_rate": 1e-5}})
    with Run("evaluate seen", parent=train.to_json(), journal=tmp_path / "journal") as evaluate:
        evaluate.log_headline(SCORES)
        evaluate.log_artifact(report)
    runs = f"#/experiments/{client.get_experiment_by_name(EXPERIMENT).experiment_id}/runs"
    parent, child = (f"{runs}/{run.to_json()['run_id']}" for run in (train, evaluate))
    with browser(tmp_path / "profile") as page:
        page.open(f"{address}/{runs}", width=1500)
        page.wait_for("[...document.querySelectorAll('a')].some((link) => link.innerText == 'train')")
        page.evaluate(f"location.hash = '{parent}'")
        page.wait_for("document.body.innerText.includes('evaluate seen')")
        page.wait_for("document.body.innerText.includes('WER 75.2 → 9.1 %')")
        page.wait_for("document.body.innerText.includes('language.es.wer')")
        assert "0.0913" in page.text()
        page.evaluate(f"location.hash = '{child}/artifacts/report/report.html'")
        page.wait_for("document.body.innerText.includes('report.html')")
        page.wait_for("document.querySelector('iframe') !== null")
        shown = page.evaluate("fetch(document.querySelector('iframe').src).then((answer) => answer.text())")
        assert "<h1>Training helped</h1>" in shown
        page.screenshot(tmp_path / "report.png")
        assert all(request.startswith((address, f"blob:{address}", "data:")) for request in page.requests)
