"""A training of half an hour on generated clips -> whether its memory grows, and docs/soak.svg.

python benchmarks/soak.py [--minutes 30]

The stage train as `dvc repro` runs it, with a new model so small that it does many thousand steps, a checkpoint each
fifteen seconds and a look at the validation split each 500 steps; then SIGTERM, at which it saves and ends.
"""

import argparse
import sys
import tempfile
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from lib.corpora import buzzes, linked_clips
from lib.results import RESULTS, Target, report
from lib.trainings import OUTPUTS, SELECTION, prepared
from lib.watching import Sample, Watched, project, watched
from matplotlib.figure import Figure

from asr.pages.pictures import AFTER, BEFORE, FAINT, INK, quiet, style

MINUTES = 30.0
WARM_UP_MINUTES = 5.0  # allocators, caches and the first looks and checkpoints
# A training of a week at this slope takes 3.4 GB more than at its start.
MOST_MB_AN_HOUR = 20.0
FIGURE = Path("docs/soak.svg")
N_DISTINCT, N_CLIPS, LENGTHS_S = 200, 2_000, (0.3, 1.0)
MODEL = {"window_s": 1}
TRAIN = {
    "batch_size": 4,
    "learning_rate": 1e-4,
    "eval_steps": 500,
    "eval_wer": 4,
    "select": "loss",
    "average": 2,
    "precision": "float32",
}
MOST_STEPS_A_MINUTE = 6_000  # so that SIGTERM ends it, and not its last step
NOWHERE = "http://127.0.0.1:9"  # no server: what is measured is the training


@dataclass(frozen=True)
class Growth:
    """The straight line through the means of the minutes: its slope, and the standard error of that."""

    mb_an_hour: float
    error: float
    at_start_mb: float


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory(dir=options.work) as name:
        job = _job(Path(name))
        soaked = Path(name) / "soaked"
        steps = {"max_steps": round(MOST_STEPS_A_MINUTE * options.minutes)}
        project(soaked, {"model": MODEL, "train": TRAIN | steps})
        command = [
            sys.executable,
            "-m",
            "stages.train",
            *(job / it for it in ("base", "features", SELECTION)),
            *OUTPUTS,
        ]
        environment = {"MLFLOW_TRACKING_URI": NOWHERE, "CHECKPOINT_EVERY_S": "15"}
        ran = watched(command, soaked, environment, every_s=2.0, stop_after_s=60 * options.minutes)
        n_steps = _n_steps(soaked)
    grown = growth(ran.samples)
    draw(ran.samples, grown, options.figure)
    measured = {
        "minutes": ran.wall_s / 60,
        "steps": n_steps,
        "growth": asdict(grown),
        "peak_mb": ran.peak_mb,
        "most_processes": ran.most_processes,
        "left_processes": ran.left_processes,
        "left_files": ran.left_files,
        "samples": [[round(value, 1) for value in asdict(sample).values()] for sample in ran.samples],
    }
    print(
        f"{n_steps:,} steps in {ran.wall_s / 60:.1f} minutes: {grown.at_start_mb:,.0f} MB after {WARM_UP_MINUTES:g} "
        f"minutes, then {grown.mb_an_hour:+.2f} MB an hour (standard error {grown.error:.2f})"
    )
    report("soak", measured, _targets(ran, grown), options.results)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=MINUTES)
    parser.add_argument("--work", type=Path, help="folder of what is made, which is removed at the end")
    parser.add_argument("--figure", type=Path, default=FIGURE)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the JSON")
    options = parser.parse_args()
    if options.minutes < WARM_UP_MINUTES + 3:
        parser.error(f"--minutes: at least {WARM_UP_MINUTES + 3:g}, of which {WARM_UP_MINUTES:g} only warm up")
    return options


def _job(folder: Path) -> Path:
    """Base, features and selection of generated clips."""
    clips = linked_clips(folder / "clips", buzzes(folder / "distinct", N_DISTINCT, LENGTHS_S), N_CLIPS)
    return prepared(folder / "job", clips, "scratch")


def _n_steps(folder: Path) -> int:
    (checkpoint,) = (folder / OUTPUTS[-1]).glob("*/checkpoint-*")
    return int(checkpoint.name.rpartition("-")[2])


def growth(samples: list[Sample], warm_up_minutes: float = WARM_UP_MINUTES) -> Growth:
    """Of the means of whole minutes, because samples that are near each other are alike."""
    minutes = [
        (minute, np.mean([sample.rss_mb for sample in group]))
        for minute, group in groupby(samples, lambda sample: int(sample.at_s // 60))
        if minute >= warm_up_minutes
    ]
    x, y = np.array(minutes, dtype=np.float64)[:-1].T  # the last one is cut off
    (slope, start), ((variance, _), _) = np.polyfit(x, y, 1, cov=True)
    return Growth(60 * float(slope), 60 * float(np.sqrt(variance)), float(start + slope * warm_up_minutes))


def _targets(ran: Watched, grown: Growth) -> list[Target]:
    settled = [sample for sample in ran.samples if sample.at_s >= 60 * WARM_UP_MINUTES]
    third = len(settled) // 3
    more_handles = max(it.handles for it in settled[-third:]) - max(it.handles for it in settled[:third])
    return [
        Target("growth of memory, MB an hour", grown.mb_an_hour, at_most=MOST_MB_AN_HOUR),
        Target("open handles, last third to the first", more_handles, at_most=0),
        Target("processes and temporary files left", len(ran.left_processes) + len(ran.left_files), at_most=0),
    ]


def draw(samples: list[Sample], grown: Growth, path: Path) -> None:
    """Memory against time, and the line that judges it."""
    with style():
        figure = Figure(figsize=(8, 3.2), layout="constrained")
        axes = figure.add_subplot()
        minutes = [sample.at_s / 60 for sample in samples]
        axes.plot(minutes, [sample.rss_mb for sample in samples], color=BEFORE, linewidth=1, label="each two seconds")
        line = [grown.at_start_mb, grown.at_start_mb + grown.mb_an_hour * (minutes[-1] - WARM_UP_MINUTES) / 60]
        label = f"{grown.mb_an_hour:+.1f} MB an hour (standard error {grown.error:.1f})"
        axes.plot([WARM_UP_MINUTES, minutes[-1]], line, color=AFTER, linewidth=2, label=label)
        axes.axvline(WARM_UP_MINUTES, color=FAINT, linewidth=1)
        axes.set_title("Resident memory of a training, MB", loc="left", fontsize=10, color=INK)
        axes.set_xlabel("minutes")
        axes.set_xlim(0, minutes[-1])
        axes.set_ylim(0, 1.15 * max(sample.rss_mb for sample in samples))
        axes.grid(axis="y", color=FAINT, linewidth=0.5)
        axes.legend(frameon=False, loc="lower right")
        quiet(axes)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None, dpi=120)


if __name__ == "__main__":
    main()
