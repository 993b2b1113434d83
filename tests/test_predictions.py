import pyarrow.parquet as pq
import pytest

from asr.errors import UserError
from asr.predictions import COLUMNS, join, read_hypotheses, write_hypotheses, write_predictions
from tests.builders import example, write_features


@pytest.fixture
def features(tmp_path):
    rows = [example("a", language="es", text="Hola.", speaker="s"), example("b", language="hi", text="नमस्ते")]
    write_features(tmp_path / "features", {"test": rows, "train": [example("c")]})
    return tmp_path / "features"


SYSTEMS = {
    "baseline": {"b": "b0", "a": "a0"},
    "hypothesis": {"a": "a1", "b": "b1"},
    "hypothesis_30s": {"a": "a2", "b": "b2"},
}


def test_hypotheses_are_read_back(tmp_path):
    write_hypotheses({"b": "नमस्ते", "a": ""}, tmp_path)
    assert read_hypotheses(tmp_path) == {"b": "नमस्ते", "a": ""}


def test_each_row_of_the_split_meets_what_each_system_heard(features, tmp_path):
    write_predictions(join(features, "test", SYSTEMS), tmp_path / "report")
    table = pq.read_table(tmp_path / "report/predictions.parquet")
    assert tuple(table.column_names) == COLUMNS
    assert [tuple(row.values()) for row in table.to_pylist()] == [
        ("a", "es", "Hola.", "a1", "a2", "a0"),
        ("b", "hi", "नमस्ते", "b1", "b2", "b0"),
    ]


def test_predictions_of_other_rows_are_refused(features):
    with pytest.raises(UserError, match="baseline: predictions of other rows"):
        join(features, "test", {**SYSTEMS, "baseline": {"a": "a0"}})
