import pyarrow.parquet as pq
import pytest

from asr.errors import UserError
from asr.evaluate.predictions import join, read_hypotheses, write_hypotheses, write_predictions
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
    write_hypotheses({"b": "नमस्ते", "a": ""}, {"clips": 2, "loops": 1}, tmp_path)
    assert read_hypotheses(tmp_path) == ({"b": "नमस्ते", "a": ""}, {"clips": 2, "loops": 1})


def test_hypotheses_that_are_not_there_are_named_with_what_makes_them(tmp_path):
    with pytest.raises(UserError, match=r"radio/predictions\.parquet: no such file; run `dvc repro baseline"):
        read_hypotheses(tmp_path / "radio")


def test_each_row_of_the_split_meets_what_each_system_heard(features, tmp_path):
    write_predictions(join(features, "test", SYSTEMS), tmp_path / "report")
    table = pq.read_table(tmp_path / "report/predictions.parquet")
    assert table.column_names == [
        *("id", "language", "reference", "hypothesis", "hypothesis_30s", "baseline"),
        *("speaker", "duration_s", "source"),
    ]
    assert [tuple(row.values()) for row in table.to_pylist()] == [
        ("a", "es", "Hola.", "a1", "a2", "a0", "s", 1.0, None),
        ("b", "hi", "नमस्ते", "b1", "b2", "b0", None, 1.0, None),
    ]


def test_predictions_of_other_rows_are_refused_with_their_numbers(features):
    of_another_run = {"a": "a0", "c": "c0", "d": "d0"}
    with pytest.raises(UserError, match=r"baseline: .* of its 2 rows 1 are missing, and 2 are of none"):
        join(features, "test", {**SYSTEMS, "baseline": of_another_run})
