"""asr/pages/comparison.py and what it stands on: experiments, by any name, on a page."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from asr import params
from asr.errors import UserError
from asr.experiments.experiment import Experiment, find
from asr.experiments.paired import compare
from asr.pages import curve_comparison
from asr.pages.comparison import differing_params, rows, write
from tests.chromium import browser
from tests.repositories import ROOT, heard, project_of_two

CHOICES = params.Evaluate(bootstrap_samples=200)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return project_of_two(tmp_path_factory.mktemp("speech"))


def test_an_experiment_is_the_same_by_revision_and_by_its_folder(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    by_name = find("main")
    assert by_name.params == {"train.learning_rate": 1e-5, "train.max_steps": 3}
    assert by_name.metrics["wer"] == 0.1
    assert len(by_name.curve) == 4
    assert by_name.predictions == heard(20)
    for name, expected in (("workspace", "workspace"), ("data/report", project.name)):
        assert find(name) == dataclasses.replace(by_name, name=expected)
    assert find("better").metrics["wer"] == 0.02


def test_a_folder_without_params_and_run_is_an_experiment_of_scores_alone(project: Path, tmp_path: Path) -> None:
    for path in (project / "data/report").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    found = find(str(tmp_path))
    assert (found.name, found.params, found.curve, found.metrics["wer"]) == (tmp_path.name, {}, [], 0.1)


def test_a_name_that_means_nothing_is_told(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    with pytest.raises(UserError, match=r"^nope: no git revision, no experiment and no folder"):
        find("nope")


def test_only_params_that_differ_are_told_and_one_that_is_missing_is_none() -> None:
    one = Experiment("one", {"seed": 1, "rate": 0.1, "old": 5}, {}, [], [])
    other = Experiment("other", {"seed": 1, "rate": 0.2}, {}, [], [])
    assert differing_params([one, other]) == {"rate": [0.1, 0.2], "old": [5, None]}
    assert differing_params([one, one]) == {}


def test_each_row_has_a_cell_for_each_experiment_and_all_utterances_come_first() -> None:
    first, *others = [Experiment(str(n), {}, {}, heard(n), []) for n in (20, 4, 40)]
    table = list(rows([compare(first, other, CHOICES) for other in others]))
    assert [row.label for row in table] == ["All", "English", "2 to 5 s"]
    assert [[cell.rate for cell in row.cells] for row in table] == [[0.1, 0.02, 0.2]] * 3
    assert [cell.kind for cell in table[0].cells] == ["unclear", "better", "worse"]
    assert table[0].cells[0].difference is None


def test_the_curves_that_no_training_has_get_no_panel() -> None:
    assert curve_comparison.picture([("a", []), ("b", [])]) is None
    figure = curve_comparison.picture([("a", [{"step": 1, "train_loss": 2.0}]), ("b", [])])
    assert figure is not None
    assert [axes.get_ylabel() for axes in figure.axes] == ["training\nloss"]


def test_the_command_writes_a_page_that_needs_no_network(project: Path, tmp_path: Path) -> None:
    page_file = tmp_path / "page.html"
    command = [sys.executable, "-m", "asr.pages.comparison", "main", "better", "-o", str(page_file)]
    done = subprocess.run(
        command, cwd=project, env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("better hears better than main: Of 100 words")
    with browser(tmp_path / "profile") as page:
        for width in (390, 1100):
            page.open(page_file.as_uri(), width=width)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.requests == [page_file.as_uri()] * 2
        text = page.text()
        page.screenshot(tmp_path / "page.png", whole=True)
    for expected in ("better hears better than main", "train.learning_rate", "Heard better by better", "2 → 0 wrong"):
        assert expected in text
    assert "max_steps" not in text


def test_the_command_refuses_in_a_line(project: Path) -> None:
    command = [sys.executable, "-m", "asr.pages.comparison", "main", "nope"]
    done = subprocess.run(command, cwd=project, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("error: nope: ")
    assert done.stderr.count("\n") == 1


def test_texts_of_a_corpus_cannot_run_on_the_page(tmp_path: Path) -> None:
    sinister = [dataclasses.replace(row, hypothesis="<script>alert(1)</script>") for row in heard(0)]
    scores = {"wer": 0.1, "wer_interval": None, "wer_normalized": None, "cer": 0.1, "window_30s": {"wer": 0.1}}
    pair = [
        Experiment(name, {}, scores | {"baseline": {"wer": 0.1}}, rows, [])
        for name, rows in (("<b>a", heard(0)), ("b", sinister))
    ]
    write(pair, tmp_path / "page.html", CHOICES)
    page = (tmp_path / "page.html").read_text()
    assert "<script" not in page
    assert "<b>a" not in page
    assert "&lt;script&gt;alert" in page
