"""asr/pages/series.py: the curves as dvc plots reads them."""

from pathlib import Path

from asr.pages import series

CURVE = [
    {"step": 1, "train_loss": 2.5, "learning_rate": 0.0, "gradient_norm": 3.0},
    {"step": 2, "train_loss": 2.0, "learning_rate": 1e-5},
    {"step": 2, "validation_loss": 1.5, "validation_wer": 0.25},
]


def test_each_curve_is_a_table_with_a_row_for_each_step_that_has_a_value(tmp_path: Path) -> None:
    series.write(tmp_path, CURVE)
    tables = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert tables == {
        "training.tsv": "step\tloss\tlearning_rate\n1\t2.5\t0.0\n2\t2.0\t1e-05\n",
        "validation.tsv": "step\tloss\n2\t1.5\n",
        "validation_wer.tsv": "step\twer\n2\t0.25\n",
    }


def test_a_curve_that_was_not_measured_has_no_table(tmp_path: Path) -> None:
    series.write(tmp_path, CURVE[:2])
    assert [path.name for path in tmp_path.iterdir()] == ["training.tsv"]
    series.write(tmp_path / "none", [])
    assert not list((tmp_path / "none").iterdir())
