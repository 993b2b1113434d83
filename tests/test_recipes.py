import subprocess
from pathlib import Path

import pytest

from asr import params, recipes
from asr.errors import UserError

ROOT = Path(__file__).parent.parent


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A repository with the project's params.yaml and two recipes."""
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text((ROOT / "params.yaml").read_text())
    Path("recipes").mkdir()
    Path("recipes/small.yaml").write_text("train:\n  max_steps: 5\n  learning_rate: 3.0e-5\n")
    Path("recipes/other.yaml").write_text("data: {source: tuxpaint, tuxpaint: {languages: [es, fr]}}\n")
    Path("recipes/wrong.yaml").write_text("train: {max_stps: 5}\n")
    for command in (["init", "-q"], ["add", "."], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "a"]):
        subprocess.run(["git", *command], check=True)
    return tmp_path


def changed_lines():
    shown = subprocess.run(["git", "diff", "-U0", "params.yaml"], capture_output=True, text=True).stdout
    return [line[1:].split("#")[0].strip() for line in shown.splitlines() if line[0] == "+" and line[:3] != "+++"]


def test_a_recipe_changes_what_it_names_and_keeps_the_comments(project):
    assert recipes.apply("small") == ["train.max_steps: 80 -> 5", "train.learning_rate: 5e-05 -> 3e-05"]
    assert changed_lines() == ["max_steps: 5", "learning_rate: 3.0e-5"]
    assert params.load().train.max_steps == 5


def test_the_same_recipe_can_be_run_again_and_another_can_follow(project):
    recipes.apply("small")
    recipes.apply("small")
    recipes.apply("other")
    assert params.load().data.tuxpaint.languages == ["es", "fr"]
    assert params.load().train.max_steps == 80


def test_edits_of_ones_own_are_not_overwritten(project):
    edited = Path("params.yaml").read_text().replace("max_steps: 80", "max_steps: 77")
    Path("params.yaml").write_text(edited)
    with pytest.raises(UserError, match="not committed"):
        recipes.apply("small")
    assert Path("params.yaml").read_text() == edited


def test_an_unknown_recipe_and_a_wrong_one_are_refused_and_change_nothing(project):
    with pytest.raises(UserError, match="there are: other, small, wrong"):
        recipes.apply("smal")
    with pytest.raises(UserError, match="did you mean max_steps"):
        recipes.apply("wrong")
    assert changed_lines() == []
