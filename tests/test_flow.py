"""The whole flow as a user runs it: `dvc repro` in a copy of the project, from generated audio to the report."""

import json
import math
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jiwer
import pyarrow.parquet as pq
import pytest
import yaml

from asr.corpora.rejects import read_rejects
from asr.recipes import merged
from asr.shards import read_columns, read_index
from asr.utterances import SPLITS

ROOT = Path(__file__).parent.parent
N_UTTERANCES, N_STEPS, LEARNING_RATE = 40, 4, 0.001
SMALL = {
    "data": {"source": "synthetic", "synthetic": {"languages": ["en", "es"], "utterances": N_UTTERANCES}},
    "model": {"checkpoint": "scratch"},
    "train": {"max_steps": N_STEPS, "batch_size": 4, "eval_steps": 2, "learning_rate": LEARNING_RATE},
    "evaluate": {"bootstrap_samples": 100},
    "export": {"formats": ["hub"]},
}
TIMEOUT_S = 400
# What a developer's shell may choose; without compiled modules, each stage compiles transformers anew, for 5 s.
NOT_INHERITED = ("MLFLOW_", "BEAM_", "DVC_", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
SCORES = ("wer", "cer", "wer_normalized")


@dataclass
class Project:
    """A copy of the project, with the output of its first `dvc repro`."""

    folder: Path
    first: str = ""

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def store(self) -> str:
        return f"sqlite:///{self.folder.parent / 'experiments.db'}"

    def choose(self, choices: dict[str, Any]) -> None:
        """Edits params.yaml."""
        path = self.folder / "params.yaml"
        path.write_text(merged(path.read_text(encoding="utf-8"), choices), encoding="utf-8")

    def repro(self, **environment: str) -> str:
        """What `dvc repro` prints. The stages' `python` is the one that runs the tests."""
        own = {name: value for name, value in os.environ.items() if not name.startswith(NOT_INHERITED)}
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        done = subprocess.run(
            [sys.executable, "-m", "dvc", "repro"],
            cwd=self.folder,
            env={**own, "PATH": path, "MLFLOW_TRACKING_URI": self.store, **environment},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "unreachable" not in done.stderr, done.stderr
        return done.stdout

    def git(self, *arguments: str) -> str:
        command = ["git", "-c", "user.name=Tester", "-c", "user.email=tester@localhost", "-c", "commit.gpgsign=false"]
        done = subprocess.run([*command, *arguments], cwd=self.folder, capture_output=True, text=True, check=True)
        return done.stdout

    def json(self, name: str) -> Any:
        return json.loads((self.data / name).read_text(encoding="utf-8"), parse_constant=pytest.fail)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    project = Project(tmp_path_factory.mktemp("flow") / "project")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (project.folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, project.folder / name)
    project.choose(SMALL)
    project.git("init", "--quiet")
    project.git("add", "--all")
    project.git("commit", "--quiet", "--message", "Copy the project")
    project.first = project.repro()
    return project


def ran(output: str) -> list[str]:
    """The stages that `dvc repro` ran, in their order."""
    return re.findall(r"^Running stage '(\w+)'", output, re.MULTILINE)


def test_dvc_repro_runs_every_stage_and_makes_every_output(project):
    stages = yaml.safe_load((project.folder / "dvc.yaml").read_text())["stages"]
    assert sorted(ran(project.first)) == sorted(stages)
    outs = [out for stage in stages.values() for out in stage["outs"]]
    assert [out for out in outs if not (project.folder / out).exists()] == []
    assert [line[3:] for line in project.git("status", "--porcelain").splitlines()] in ([], ["dvc.lock"])


def test_every_planned_row_is_in_the_shards_or_among_the_rejects(project):
    features = project.data / "features"
    index, rejects = read_index(features), read_rejects(features)
    assert sum(map(index.rows, SPLITS)) + len(rejects) == N_UTTERANCES
    assert index.rejected == len(rejects)
    assert min(map(index.rows, SPLITS)) > 0


def test_metrics_json_has_the_shape_that_others_rely_on(project):
    metrics = project.json("report/metrics.json")
    assert metrics.keys() >= {*SCORES, "n_utterances", "n_words", "wer_interval", "difference_interval"}
    assert metrics["language"].keys() == {"en", "es"}
    for group in (metrics, *metrics["language"].values()):
        for scores in (group, group["window_30s"], group["baseline"]):
            assert all(math.isfinite(scores[name]) and scores[name] >= 0 for name in SCORES)
        low, high = group["wer_interval"]
        assert low <= high
        assert group["difference_interval"][0] <= group["difference_interval"][1]
    assert metrics["n_utterances"] == read_index(project.data / "features").rows("test")


def test_the_word_error_rates_are_those_of_jiwer_over_the_predictions(project):
    metrics = project.json("report/metrics.json")
    table = pq.read_table(project.data / "report/predictions.parquet")
    assert table.column_names[:6] == ["id", "language", "reference", "hypothesis", "hypothesis_30s", "baseline"]
    columns = table.to_pydict()
    for name, scores in {
        "hypothesis": metrics,
        "hypothesis_30s": metrics["window_30s"],
        "baseline": metrics["baseline"],
    }.items():
        assert scores["wer"] == pytest.approx(jiwer.wer(columns["reference"], columns[name]))
        assert scores["cer"] == pytest.approx(jiwer.cer(columns["reference"], columns[name]))
    test_rows = read_columns(project.data / "features", "test", ["id", "text"]).to_pylist()
    assert dict(zip(columns["id"], columns["reference"], strict=True)) == {row["id"]: row["text"] for row in test_rows}


def test_the_export_hears_as_the_run_and_its_card_says_so(project):
    made, metrics = project.json("export/exports.json"), project.json("report/metrics.json")
    assert made["hub"]["rate"] == metrics["wer"]
    text = (project.data / "export" / "hub" / "README.md").read_text(encoding="utf-8")
    assert f"**{100 * metrics['wer']:.1f}**" in text
    assert project.json("run.json")["run"]["run_id"] in text
    assert str(project.folder) not in text


def test_the_report_needs_no_network(project):
    page = (project.data / "report/report.html").read_text(encoding="utf-8")
    fetched = re.findall(r"url\(([^)]*)\)", page) + re.findall(r"@import\s+([^;]*)", page)

    class Resources(HTMLParser):
        def handle_starttag(self, tag, attributes):
            names = ("src", "srcset", "data", "xlink:href", *(["href"] if tag == "link" else []))
            fetched.extend(value or "" for name, value in attributes if name in names)

    Resources().feed(page)
    assert [resource for resource in fetched if re.match(r"['\"\s]*(https?:)?//", resource)] == []
    assert "English" in page and "Spanish" in page


def test_the_experiment_is_in_mlflow(project, monkeypatch):
    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_TRACKING_URI", project.store)  # a client looks for models there alone

    run = project.json("run.json")["run"]
    assert run["tracking_uri"] == project.store
    client = MlflowClient(project.store)
    parent = client.get_run(run["run_id"])
    assert parent.info.status == "FINISHED"
    assert float(parent.data.params["train.learning_rate"]) == LEARNING_RATE
    assert client.get_metric_history(run["run_id"], "train_loss")[-1].step == N_STEPS
    assert client.get_metric_history(run["run_id"], "validation_loss")[-1].step == N_STEPS

    lock = yaml.safe_load((project.folder / "dvc.lock").read_text())["stages"]
    (digest,) = [out["md5"] for out in lock["preprocess"]["outs"] if out["path"] == "data/features"]
    assert [each.dataset.digest for each in parent.inputs.dataset_inputs] == [digest]

    metrics = project.json("report/metrics.json")
    assert parent.data.metrics["wer"] == pytest.approx(metrics["wer"])
    assert parent.data.metrics["baseline.wer"] == pytest.approx(metrics["baseline"]["wer"])
    (child,) = client.search_runs([parent.info.experiment_id], f"tags.mlflow.parentRunId = '{run['run_id']}'")
    assert child.info.status == "FINISHED"
    assert "model/model.safetensors" in artifacts(client, run["run_id"], "model")
    assert "report/report.html" in artifacts(client, child.info.run_id, "report")


def artifacts(client, run_id: str, folder: str) -> list[str]:
    return [file.path for file in client.list_artifacts(run_id, folder)]


def test_nothing_runs_again_but_the_listing(project):
    assert ran(project.repro()) == ["listing"]


def test_another_tracking_server_runs_nothing_again(project):
    elsewhere = project.folder / "elsewhere.db"
    assert ran(project.repro(MLFLOW_TRACKING_URI=f"sqlite:///{elsewhere}")) == ["listing"]
    assert not elsewhere.exists()


def test_another_learning_rate_trains_evaluates_and_exports_only_and_the_way_back_computes_nothing(project):
    model = project.data / "model/model.safetensors"
    before = model.read_bytes(), project.json("run.json")
    project.choose({"train": {"learning_rate": 2 * LEARNING_RATE}})
    assert ran(project.repro()) == ["listing", "train", "evaluate", "export"]
    assert model.read_bytes() != before[0]

    project.choose({"train": {"learning_rate": LEARNING_RATE}})
    assert ran(project.repro()) == ["listing"]
    assert (model.read_bytes(), project.json("run.json")) == before


def test_cleaning_trains_anew_on_the_same_shards(project):
    shards = (project.data / "features/index.json").read_bytes()
    rate = read_columns(project.data / "features", "train", ["trained_text", "duration_s"]).to_pylist()
    rates = sorted(len(row["trained_text"]) / row["duration_s"] for row in rate)
    cleaning = {"clean": {"characters_a_second": [0.0, (rates[-2] + rates[-1]) / 2]}}
    project.choose({"data": {**cleaning, "agreement": {"heard_by": "base", "max_wer": 1000.0}}})
    assert sorted(ran(project.repro())) == ["agreement", "evaluate", "export", "listing", "selection", "train"]
    assert (project.data / "features/index.json").read_bytes() == shards
    (gone,) = read_rejects(project.data / "selection", "set_aside.parquet")
    assert gone.reason == "too many characters a second"
    heard = pq.read_table(project.data / "agreement/heard.parquet")
    assert len(heard) == read_index(project.data / "features").rows("train")
    assert "Set aside from train" in (project.data / "report/report.html").read_text(encoding="utf-8")
    project.choose(
        {"data": {"clean": {"characters_a_second": None}, "agreement": {"heard_by": "none", "max_wer": 0.5}}}
    )
    assert ran(project.repro()) == ["listing"]  # all else comes from DVC's cache


def test_a_further_test_set_is_heard_without_a_training(project):
    choices = {
        "foreign": {"source": "synthetic", "synthetic": {"languages": ["de"], "utterances": 12}},
        "same": {"features": "data/features"},
    }
    project.choose({"evaluate": {"sets": choices}})
    assert sorted(ran(project.repro())) == ["baseline_sets", "evaluate", "export", "listing", "sets"]
    metrics = project.json("report/metrics.json")
    foreign, same = metrics["sets"]["foreign"], metrics["sets"]["same"]
    assert foreign["n_utterances"] == read_index(project.data / "sets/foreign").rows("test") > 0
    assert foreign["language"].keys() == {"de"}
    assert {name: same[name] for name in (*SCORES, "wer_interval")} == {
        name: metrics[name] for name in (*SCORES, "wer_interval")
    }
    predictions = pq.read_table(project.data / "report/sets/foreign/predictions.parquet")
    assert foreign["wer"] == pytest.approx(
        jiwer.wer(predictions["reference"].to_pylist(), predictions["hypothesis"].to_pylist())
    )
