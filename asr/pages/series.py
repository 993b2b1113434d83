"""The points of a training's curves -> tables that `dvc plots` draws and compares: a row a step, a file a curve."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

# A file's name -> its columns beside `step`, and what the curves of asr.train.curves call them. A file a kind of point,
# since DVC draws only tables whose rows all have the same columns.
TABLES = {
    "training.tsv": {"loss": "train_loss", "learning_rate": "learning_rate"},
    "validation.tsv": {"loss": "validation_loss"},
    "validation_wer.tsv": {"wer": "validation_wer"},
}


def write(folder: Path, curve: Sequence[Mapping[str, float]]) -> None:
    """Write the tables that there are points for into `folder`; a point lacks what was not measured at its step."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, columns in TABLES.items():
        rows = [
            [round(point["step"]), *(point[key] for key in columns.values())]
            for point in curve
            if all(key in point for key in columns.values())
        ]
        if not rows:
            continue
        with (folder / name).open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, delimiter="\t", lineterminator="\n")
            writer.writerow(["step", *columns])
            writer.writerows(rows)
