"""A corpus whose ids, speakers and texts attack whoever looks at the results: on pages, in tables, in MLflow."""

import csv
import json
import os
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from asr import params
from asr.demo import shown
from asr.evaluate.predictions import Prediction
from asr.evaluate.scoring import metrics
from asr.experiments.experiment import Experiment
from asr.pages import comparison, report
from asr.secrets import VARIABLES
from asr.shards import read_index
from asr.transcription.transcript import Segment, Transcript, Word
from asr.utterances import SPLITS
from tests.chromium import Page, browser
from tests.faults.flow import ROOT, Flow
from tests.faults.hostile import CORPUS, bare, everything_in, good_rows, web
from tests.faults.table import Seen, note

GROUP = "security"
SECRET = "hunter2-and-more"
STAGES = ("listing", "prepare", "preprocess", "sets", "agreement", "selection", "train", "baseline")
STAGES += ("baseline_sets", "evaluate")
N_ROWS = 12
SMALL = {
    "features": {"shard_mb": 0.25},
    "model": {"checkpoint": "scratch", "window_s": 5},
    "train": {"max_steps": 2, "batch_size": 4, "eval_steps": 2, "eval_wer": 0, "learning_rate": 0.001},
    "evaluate": {"bootstrap_samples": 100},
}
FORMULAS = ("=cmd|' /C calc'!A0", "+1+cmd|' /C calc'!A0", "-2+3", "@SUM(1)", "\t=1+1", "\r=1+1")
# What would have to be there for an attack to have come through.
REFUSED = (
    *("script", "iframe", "object", "embed", "form", "base", "img", "meta[http-equiv=refresh]", "link:not([rel=icon])"),
    *("[onerror]", "[onload]", "[onclick]", "a[href^=javascript]"),
)
OWNED = "document.documentElement.dataset.owned"  # what each script would set


def attacks(address: str) -> tuple[str, ...]:
    """Ways to run a script, or to ask an address."""
    runs = f"{OWNED}=1;fetch('{address}/fetch')"
    return (
        f"</title></style></pre><script>{runs}</script>",
        f'<img src="{address}/img" onerror="{runs}"><script>',
        f'"><svg onload="{runs}"><script>',
        f"' onclick='{runs}' <script>",
        f'<a href="javascript:{runs}">a</a><script>',
        f'<iframe src="{address}/frame"></iframe><script>',
        f'<link rel="stylesheet" href="{address}/css"><base href="{address}/"><script>',
        f'<meta http-equiv="refresh" content="0;url={address}/refresh"><script>',
        f'<audio src="{address}/audio" autoplay><form action={address}><input></form><script>',
        "{{ 7 * 7 }} ${7*7} ]]><!-- <script>",
    )


def look(page: Page, address: str, asked: list[str], *, has_policy: bool = True) -> None:
    """Opens a page of ours, and sees that what it was given is text on it, and nothing else."""
    page.requests.clear()
    page.open(address)
    time.sleep(0.3)  # in which a script would have run
    assert [one for one in page.requests if not one.startswith("data:")] == [address]
    assert page.evaluate(f"[...document.querySelectorAll(`{', '.join(REFUSED)}`)].map(one => one.outerHTML)") == []
    assert page.evaluate(OWNED) is None
    assert page.evaluate("document.location.href") == address
    assert "<script>" in page.text()
    assert asked == []
    if has_policy:
        policy = page.evaluate("document.querySelector('meta[http-equiv=Content-Security-Policy]').content")
        rules = dict(rule.split(maxsplit=1) for rule in policy.split("; "))
        assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
        assert not {"script-src", "connect-src", "frame-src", "object-src"} & rules.keys()
        assert "http" not in policy


class Attacked(NamedTuple):
    flow: Flow
    said: str  # by all stages
    address: str  # that nothing must ask for
    asked: list[str]


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory, scratch: Path) -> Iterator[Attacked]:
    """A flow from listing to report, on that corpus, with MLflow's own database and secrets in the environment."""
    flow = bare(tmp_path_factory.mktemp("hostile") / "project", scratch)
    rows = good_rows(flow, N_ROWS)
    with web() as (address, asked):
        ways = attacks(address)
        evil = "".join(ways)
        for n, row in enumerate(rows):
            start = FORMULAS[n % len(FORMULAS)]
            text = f"{start} \x1b[2J {ways[n % len(ways)]} {n}"  # all of them would be too long a text
            row |= {"id": f"{start}{evil}{n}", "speaker": f"{start}{evil}{n}", "text": text}
        content = "".join(json.dumps(row) + "\n" for row in [*rows, {**rows[0], "id": evil, "audio": f"{evil}.wav"}])
        (flow.folder / CORPUS / "t.jsonl").write_text(content, encoding="utf-8")
        table = {"path": f"{CORPUS}/t.jsonl"}
        data = {"source": "table", "table": table, "languages": {"Español (España); <b>": "es"}}
        flow.choose({**SMALL, "data": data, "text": {}})
        secrets = {name: f"{SECRET}-{name.lower()}" for name in VARIABLES}
        store = f"sqlite:///{flow.folder / 'mlflow.db'}"
        said = ""
        for stage in STAGES:
            done = flow.run_stage(stage, MLFLOW_TRACKING_URI=store, **secrets)
            assert done.status == 0, done.said
            said += done.said
        yield Attacked(flow, said, address, asked)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser(tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.mark.slow
def test_every_row_is_kept_and_no_terminal_obeys_one(attacked: Attacked) -> None:
    index = read_index(attacked.flow.data / "features")
    assert sum(map(index.rows, SPLITS)) == N_ROWS
    assert index.rejected == 1
    assert not {"\x1b", "\r"} & set(attacked.said)


@pytest.mark.slow
def test_the_report_runs_nothing_and_asks_for_nothing(attacked: Attacked, page: Page) -> None:
    look(page, (attacked.flow.data / "report" / report.PAGE).as_uri(), attacked.asked)
    seen = attacked.said.splitlines()[-1]
    note(Seen(GROUP, "HTML and scripts in a corpus, on the report", seen, "all rows, their texts as text"))


@pytest.mark.slow
def test_the_data_report_runs_nothing_and_asks_for_nothing(attacked: Attacked, page: Page) -> None:
    look(page, (attacked.flow.data / "features/report.html").as_uri(), attacked.asked)
    seen = next(line for line in attacked.said.splitlines() if line.startswith("a look at the data"))
    note(Seen(GROUP, "HTML and scripts in a corpus, on the data report", seen, "all rows, their texts as text"))


@pytest.mark.slow
def test_no_table_that_a_spreadsheet_opens_has_a_formula(attacked: Attacked) -> None:
    """CSV and TSV are for the curves alone; what has text of the corpus is Parquet, JSON or a page."""
    tables = [path for suffix in ("csv", "tsv") for path in attacked.flow.data.rglob(f"*.{suffix}")]
    assert tables
    for path in tables:
        header, *rows = csv.reader(path.open(encoding="utf-8"), delimiter="\t" if path.suffix == ".tsv" else ",")
        assert all(name.isidentifier() for name in header)
        assert rows
        for row in rows:
            list(map(float, row))  # nothing but numbers
    seen = ", ".join(sorted({path.name for path in tables}))
    note(Seen(GROUP, "formulas (=cmd|...) in a corpus, in the tables of curves", seen, "no text of it is in a CSV"))


@pytest.mark.slow
def test_no_secret_of_the_environment_is_in_anything_that_was_made(attacked: Attacked) -> None:
    assert SECRET not in attacked.said
    assert SECRET not in everything_in(attacked.flow.folder)
    note(Seen(GROUP, "tokens and passwords in the environment of all stages", "", "everything, without them"))


@pytest.mark.slow
def test_mlflow_gets_every_record_and_its_pages_run_nothing(attacked: Attacked, page: Page) -> None:
    """A name that MLflow refuses would end what is sent, here a language's in the corpus' own words."""
    assert "unreachable" not in attacked.said
    with sqlite3.connect(attacked.flow.folder / "mlflow.db") as database:
        statuses = [status for (status,) in database.execute("select status from runs")]
        (name,) = database.execute("select key from params where key like 'data.languages.%'").fetchone()
        experiment, run = database.execute("select experiment_id, run_uuid from runs order by start_time").fetchone()
    assert statuses == ["FINISHED"] * 2
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "MLFLOW_PORT": str(port), "PYTHONPATH": str(ROOT)}
    environment["MLFLOW_TRACKING_URI"] = f"sqlite:///{attacked.flow.folder / 'mlflow.db'}"
    with (attacked.flow.folder / "ui.log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "asr.tracking", "ui"],
            cwd=attacked.flow.folder,
            env=environment,
            stdout=log,
            stderr=log,
        )
        try:
            await_answer(f"http://127.0.0.1:{port}/health", server)
            page.requests.clear()
            page.open(f"http://127.0.0.1:{port}/#/experiments/{experiment}/runs/{run}")
            page.wait_for("document.body.innerText.includes('data.languages')", 60)
            assert page.evaluate(OWNED) is None
            assert not [one for one in page.requests if one.startswith(attacked.address)]
        finally:
            server.terminate()
            server.wait(timeout=20)
    assert attacked.asked == []
    mended = "MLflow refused the param's name, and so all that the run sent after it, at each replay too"
    seen = name.replace("data.languages.", "param data.languages.")
    note(Seen(GROUP, "HTML and signs in a language's name (data.languages), in MLflow", seen, "the run", mended=mended))


def await_answer(address: str, server: subprocess.Popen[bytes], longest_s: float = 60.0) -> None:
    until_s = time.monotonic() + longest_s
    while True:
        try:
            urllib.request.urlopen(address, timeout=5).close()
        except OSError:
            assert server.poll() is None
            assert time.monotonic() < until_s
            time.sleep(0.2)
        else:
            return


def test_the_comparison_runs_nothing_and_asks_for_nothing(tmp_path: Path, page: Page) -> None:
    """Also where the names of experiments, which git may have, are HTML, or a formula that cannot be typeset."""
    curve = [{"step": step, "train_loss": 3.0 / step, "learning_rate": 1e-5} for step in range(1, 9)]
    with web() as (address, asked):
        evil = "".join(attacks(address))

        def heard(every: int) -> list[Prediction]:
            return [
                Prediction(
                    f"{evil}{n}", "en", evil, f"one two {n}", f"one {evil}" if n % every else "", "one", evil, 1.5
                )
                for n in range(12)
            ]

        pair = [
            Experiment(f"$\\frac{{$ {evil} {n}", {evil: n}, metrics(heard(n), 100, seed=1), heard(n), curve)
            for n in (2, 5)
        ]
        comparison.write(pair, tmp_path / "page.html", params.Evaluate(bootstrap_samples=100))
        look(page, (tmp_path / "page.html").as_uri(), asked)
    seen = page.text().splitlines()[0][:60]
    mended = "a name with two dollars was taken for a formula, and ended in a traceback"
    note(Seen(GROUP, "HTML and formulas in the names of experiments that are compared", seen, "all", mended=mended))


def test_what_a_recording_says_is_text_on_the_demo(tmp_path: Path, page: Page) -> None:
    with web() as (address, asked):
        evil = "".join(attacks(address))
        word = Word(f" {evil}", 0.0, 1.0, 0.9)
        heard = Transcript(1.0, evil, [Segment(0.0, 1.0, [word])], 0.0, None)
        (tmp_path / "page.html").write_text(f"<!doctype html><title>t</title>{shown(heard, 1.0)}", encoding="utf-8")
        look(page, (tmp_path / "page.html").as_uri(), asked, has_policy=False)


def test_every_page_forbids_scripts() -> None:
    pages = list((ROOT / "asr/pages").glob("*.html"))
    assert len(pages) == 3
    for path in pages:
        content = path.read_text(encoding="utf-8")
        assert "Content-Security-Policy\" content=\"default-src 'none';" in content
        assert not {"|safe", "| safe", "javascript:", 'http-equiv="refresh"', "<script"} & {
            word for word in ("|safe", "| safe", "javascript:", 'http-equiv="refresh"', "<script") if word in content
        }
