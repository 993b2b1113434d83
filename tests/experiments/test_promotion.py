"""asr/experiments/promotion.py: an alias goes to what hears significantly better on the same test set, or stays."""

import json
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from asr import params
from asr.errors import UserError
from asr.evaluate.predictions import Prediction, write_predictions
from asr.experiments import promotion
from asr.experiments.promotion import Place, Verdict, promote
from asr.experiments.run import Run
from asr.experiments.store import Store

N_UTTERANCES = 40
CHOICES = params.Evaluate(bootstrap_samples=200)


class Project:
    """A folder in which experiments are run; `heard` of the utterances are heard well, of four words each."""

    def __init__(self, folder: Path, uri: str) -> None:
        self.folder, self.store = folder, Store(uri)
        self.name = folder.name  # tests share a registry
        self.report = folder / "report"
        self.checkpoint: Path | None = None
        (folder / "model").mkdir()
        (folder / "model" / "config.json").write_text("{}")

    def experiment(self, n_well: int, digest: str = "a" * 32, ids: str = "row") -> dict[str, Any]:
        """Train and evaluate, as the stages do."""
        with Run("train", journal=self.folder / "journal") as train:
            train.log_model(self.folder / "model")
        write_predictions([self._row(f"{ids}-{n:02}", n < n_well) for n in range(N_UTTERANCES)], self.report)
        with Run("evaluate", train.to_json(), journal=self.folder / "journal") as run:
            run.log_dataset("test", digest, N_UTTERANCES, "evaluation")
            run.log_artifact(self.report)
        return train.to_json()

    def promote(self, run: dict[str, Any]) -> Verdict:
        return promote(self.store, run, self.report, Place(self.name, "champion"), CHOICES, self.checkpoint)

    def champion(self) -> Any:
        return self.store.client.get_model_version_by_alias(self.name, "champion")

    @staticmethod
    def _row(utterance: str, is_heard_well: bool) -> Prediction:
        said = "one two three four"
        heard = said if is_heard_well else "something else"
        return Prediction(utterance, "en", None, said, hypothesis=heard, hypothesis_30s=heard, baseline="")


@pytest.fixture
def project(client: Any, tmp_path: Path) -> Project:
    return Project(tmp_path, client.tracking_uri)


def test_the_first_is_registered_and_a_better_one_takes_its_alias(project: Project) -> None:
    first = project.experiment(n_well=10)
    assert project.promote(first) == Verdict(True, f"{project.name} version 1 is champion, the first one")
    assert project.champion().run_id == first["run_id"]
    assert Path(project.champion().source.removeprefix("file://"), "config.json").exists()

    better = project.experiment(n_well=35)
    verdict = project.promote(better)
    assert verdict.is_promoted
    assert verdict.reason.startswith(f"{project.name} version 2 is champion instead of 1: WER 12.5% after 75.0%, 95 %")
    assert project.champion().run_id == better["run_id"]


def test_what_is_registered_can_be_served(project: Project, scratch: Path) -> None:
    run = project.experiment(n_well=10)
    project.checkpoint = scratch
    assert project.promote(run).is_promoted
    import mlflow

    loaded = mlflow.pyfunc.load_model(project.champion().source)
    assert loaded.metadata.signature.outputs.input_names() == ["text", "language", "confidence", "duration_s", "error"]


@pytest.mark.parametrize("n_well", [8, 11])
def test_one_that_is_worse_or_better_by_chance_is_not_registered(project: Project, n_well: int) -> None:
    first = project.experiment(n_well=10)
    project.promote(first)
    verdict = project.promote(project.experiment(n_well))
    assert not verdict.is_promoted
    assert f"{project.name} version 1, champion, stays: WER" in verdict.reason
    assert project.champion().run_id == first["run_id"]


def test_other_test_sets_are_not_compared(project: Project) -> None:
    project.promote(project.experiment(n_well=10))
    verdict = project.promote(project.experiment(n_well=40, digest="b" * 32))
    assert not verdict.is_promoted
    assert verdict.reason.endswith(f"was measured on test set {'a' * 32}, this checkpoint on {'b' * 32}")
    with pytest.raises(UserError, match="of other utterances, although the digest is the same"):
        project.promote(project.experiment(n_well=40, ids="other"))


def test_the_same_checkpoint_is_registered_once(project: Project) -> None:
    run = project.experiment(n_well=10)
    project.promote(run)
    assert project.promote(run) == Verdict(False, f"{project.name} version 1, champion, is this checkpoint already")


def test_a_report_of_another_run_or_a_run_that_is_not_here_is_refused(project: Project) -> None:
    earlier = project.experiment(n_well=10)
    project.experiment(n_well=20)
    with pytest.raises(UserError, match=r"predictions\.parquet is not of evaluation"):
        project.promote(earlier)
    with pytest.raises(UserError, match=r"asr\.tracking replay"):
        project.promote(earlier | {"run_id": None, "journal": "of an outage"})


def test_a_run_whose_evaluation_failed_has_none_to_promote(project: Project) -> None:
    with Run("train", journal=project.folder / "journal") as train:
        pass
    with pytest.raises(ZeroDivisionError), Run("evaluate", train.to_json(), journal=project.folder / "journal"):
        raise ZeroDivisionError
    with pytest.raises(UserError, match="no finished evaluation of run"):
        project.promote(train.to_json())


def test_the_command_says_what_it_did_and_fails_if_it_did_nothing(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_file = project.folder / "run.json"
    run_file.write_text(json.dumps({"run": project.experiment(n_well=10)}))
    (project.folder / "params.yaml").write_text("{}")
    monkeypatch.chdir(project.folder)
    statuses = []
    for path in (run_file, run_file, project.folder / "nothing.json"):
        monkeypatch.setattr("sys.argv", ["promotion", str(path), str(project.report), project.name, "champion"])
        with pytest.raises(SystemExit) as left:
            promotion.main()
        statuses.append(left.value.code)
    assert statuses[:2] == [0, 1]
    assert "no such file; run `dvc repro`" in statuses[2]
    assert [line.split()[-1] for line in capsys.readouterr().out.splitlines()] == ["one", "already"]


@pytest.mark.parametrize(
    ("artifact_uri", "model_id"), [("mlflow-artifacts:/1/run/artifacts", None), ("file:///store/run/artifacts", "m-1")]
)
def test_a_server_that_keeps_the_files_itself_is_not_told_a_model_that_has_none(
    artifact_uri: str, model_id: str | None
) -> None:
    store = Mock()
    store.model_of.return_value = "m-1"
    store.client.get_logged_model.return_value.tags = {"packaged": "false"}
    store.client.get_run.return_value.info.artifact_uri = artifact_uri
    evaluation = promotion.Evaluation("evaluation", "digest", [])
    promotion._register(store, "run", evaluation, Place("whisper", "champion"), None)
    ((_, source, run_id, _), named) = store.client.create_model_version.call_args
    assert (source, run_id, named) == (f"{artifact_uri}/model", "run", {"model_id": model_id})
