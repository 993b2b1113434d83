"""dvc.yaml's plots and metrics, and .dvc/plots.html: what DVC shows of experiments, without a network."""

from pathlib import Path

import pytest

from tests.chromium import browser
from tests.repositories import dvc, project_of_two

LINES = "[...document.querySelectorAll('figure')].map((one) => one.querySelectorAll('.legend polyline').length)"
LEGEND = "document.querySelector('figure .legend').innerText"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return project_of_two(tmp_path_factory.mktemp("project"))


def test_the_curves_of_two_experiments_are_drawn_in_each_other_and_ask_for_no_network(
    project: Path, tmp_path: Path
) -> None:
    dvc(project, "plots", "diff", "main", "better", "-o", str(tmp_path / "plots"))
    with browser(tmp_path / "profile") as page:
        page.open((tmp_path / "plots/index.html").as_uri())
        assert all(address.startswith(("file:", "data:")) for address in page.requests)
        assert page.evaluate(LINES) == [4, 2, 2]
        assert page.evaluate(LEGEND).split("\n") == [
            "main, training",
            "main, validation",
            "better, training",
            "better, validation",
        ]
        assert "Word error rate of the validation clips" in page.text()
        points = page.evaluate("document.querySelector('figure > svg polyline').getAttribute('points')").split()
    heights = [float(point.partition(",")[2]) for point in points]
    assert len(heights) == 3
    assert heights == sorted(heights), "a loss that falls is drawn falling"


def test_a_curve_that_was_not_measured_leaves_no_trace_on_the_page(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    project = project_of_two(tmp_path / "project")
    for path in project.glob("data/report/validation*.tsv"):
        path.unlink()
    dvc(project, "plots", "show")
    with browser(tmp_path / "profile") as page:
        page.open((project / "dvc_plots/index.html").as_uri())
        assert page.evaluate("[...document.querySelectorAll('h2')].map((one) => one.innerText)") == [
            "Loss",
            "Learning rate",
        ]


def test_dvc_tells_which_score_and_which_param_differ(project: Path) -> None:
    scores = dvc(project, "metrics", "diff", "main", "better", "--md").splitlines()
    (wer,) = (line for line in scores if " wer " in line)
    assert [cell.strip() for cell in wer.split("|")[3:6]] == ["0.1", "0.02", "-0.08"]
    params = dvc(project, "params", "diff", "main", "better")
    assert "train.learning_rate" in params
    assert "max_steps" not in params
