"""asr/experiments/address.py: where experiments go."""

import os
from pathlib import Path
from typing import Any

import pytest

from asr.experiments.address import without_credentials
from asr.experiments.run import EXPERIMENT


def test_the_default_store_lies_in_the_project_and_does_not_move(client: Any) -> None:
    experiment = client.get_experiment_by_name(EXPERIMENT)
    database = Path(os.environ["MLFLOW_TRACKING_URI"].removeprefix("sqlite:///"))
    assert experiment.artifact_location == (database.parent / "mlartifacts").as_uri()


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("https://user:p%40ss@host:5000/path", "https://host:5000/path"),
        ("sqlite:////project/mlflow.db", "sqlite:////project/mlflow.db"),
        ("databricks", "databricks"),
    ],
)
def test_credentials_are_cut_out_of_an_address(uri: str, expected: str) -> None:
    assert without_credentials(uri) == expected
