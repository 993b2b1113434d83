"""Generated clips, ever more of them -> how cost, memory and bytes of the preprocess stage grow, and docs/scale.svg.

python benchmarks/scale.py [--sizes 2000 20000 100000]

Each size runs with one process and with two workers under a launcher. What a clip costs is the slope between two sizes,
in which the start-up is not. The full run takes about twenty minutes and 5 GB of temporary disk.
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

from lib.corpora import PREPROCESS, buzzes, job_folder, linked_clips
from lib.processes import Usage, measured
from lib.results import RESULTS, Target, report, table
from lib.sizes import rows_bytes
from matplotlib import pyplot
from matplotlib.axes import Axes

from asr import params
from asr.models.base import fetch

SIZES = [2_000, 20_000, 100_000]
FIGURE = Path("docs/scale.svg")
N_DISTINCT = 500  # files, which all the clips are links to
WORKERS = 2
SPEED_UP_AT = 20_000  # clips
MOST_WORKER_MB = 600


@dataclass(frozen=True)
class Point:
    """What one size took; `one` process and `two` workers wrote the same bytes."""

    n_clips: int
    one: Usage
    two: Usage
    disk_bytes: int


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fetch(params.Model(checkpoint="scratch"), folder / "base")
        distinct = buzzes(folder / "distinct", min(N_DISTINCT, *options.sizes))
        points = [_point(folder, distinct, n_clips) for n_clips in sorted(options.sizes)]
    print(_costs(points))
    draw(points, options.figure)
    measures = [asdict(point) | {"cpu_s_a_clip": slope} for point, slope in zip(points, _slopes(points), strict=True)]
    report("scale", {"points": measures}, _targets(points), options.results)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="counts of clips")
    parser.add_argument("--figure", type=Path, default=FIGURE)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the JSON")
    options = parser.parse_args()
    if len(options.sizes) < 2:
        parser.error("--sizes: at least two, between which a further clip's cost is seen")
    return options


def _point(folder: Path, distinct: Sequence[Path], n_clips: int) -> Point:
    clips = linked_clips(folder / "clips", distinct, n_clips)
    usages, job = [], folder / "job"
    for workers in (1, WORKERS):
        print(f"{n_clips:,} clips, {workers} at once", file=sys.stderr, flush=True)
        job_folder(job, clips, folder / "base")
        usages.append(measured([sys.executable, *PREPROCESS], job, environment={"BEAM_WORKERS": str(workers)}))
        size_bytes = rows_bytes(job / "features")
        shutil.rmtree(job)
    shutil.rmtree(folder / "clips")
    return Point(n_clips, usages[0], usages[1], size_bytes)


def _slopes(points: Sequence[Point]) -> list[float | None]:
    """CPU seconds that each further clip costs, from the size before to this one; None for the first size."""
    return [None, *((b.one.cpu_s - a.one.cpu_s) / (b.n_clips - a.n_clips) for a, b in pairwise(points))]


def _costs(points: Sequence[Point]) -> str:
    rows = [
        [
            f"{point.n_clips:,}",
            f"{point.one.cpu_s:,.1f}",
            "-" if slope is None else f"{1e3 * slope:.2f}",
            f"{point.one.wall_s:,.1f}",
            f"{point.two.wall_s:,.1f}",
            f"{point.one.wall_s / point.two.wall_s:.2f}",
            *(f"{mb:,.0f}" for mb in (point.one.launcher_mb, point.two.worker_mb, point.two.launcher_mb)),
            f"{point.disk_bytes / 1e6:,.0f}",
        ]
        for point, slope in zip(points, _slopes(points), strict=True)
    ]
    header = ["clips", "CPU s", "CPU ms a further clip", "wall s", f"wall s, {WORKERS} workers", "times as fast"]
    memory = ["peak MB of one process", f"of the larger of {WORKERS} workers", "of their launcher"]
    return table([*header, *memory, "shards, MB"], rows)


def _targets(points: Sequence[Point]) -> list[Target]:
    slopes = [slope for slope in _slopes(points) if slope is not None]
    worker_mb = [point.two.worker_mb for point in points]
    speed_up = next((p.one.wall_s / p.two.wall_s for p in points if p.n_clips == SPEED_UP_AT), None)
    grown = slopes[-1] / slopes[0] if len(slopes) > 1 else None
    return [
        Target("CPU of a further clip, between the largest sizes to between the smallest", grown, at_most=1.10),
        Target("peak memory of a worker, MB", max(worker_mb), at_most=MOST_WORKER_MB),
        Target("the same, at the largest size to the one before", worker_mb[-1] / worker_mb[-2], at_most=1.10),
        Target("peak memory of their launcher, MB", max(point.two.launcher_mb for point in points), MOST_WORKER_MB),
        Target(f"times as fast with {WORKERS} workers on {SPEED_UP_AT:,} clips", speed_up, at_least=1.7),
    ]


def draw(points: Sequence[Point], path: Path) -> None:
    """Cost, time, memory and bytes against clips."""
    pyplot.rcParams |= {"svg.hashsalt": "scale", "axes.spines.top": False, "axes.spines.right": False}
    figure, ((cost, time), (memory, size)) = pyplot.subplots(2, 2, figsize=(9, 6), layout="constrained")
    thousands = [point.n_clips / 1e3 for point in points]
    cpu_s = [point.one.cpu_s for point in points]
    slope = (cpu_s[1] - cpu_s[0]) / (thousands[1] - thousands[0])
    straight_s = cpu_s[1] + slope * (thousands[-1] - thousands[1])
    _lines(cost, "CPU seconds, one process", thousands, {"measured": cpu_s})
    cost.plot(
        [thousands[0], thousands[-1]],
        [cpu_s[0], straight_s],
        "k--",
        linewidth=1,
        label=f"{slope:.2f} ms a further clip",
    )
    walls_s = {"one process": [point.one.wall_s for point in points]}
    walls_s[f"{WORKERS} workers"] = [point.two.wall_s for point in points]
    _lines(time, "Wall seconds", thousands, walls_s)
    peaks_mb = {
        "one process": [point.one.launcher_mb for point in points],
        f"the larger of {WORKERS} workers": [point.two.worker_mb for point in points],
        "their launcher": [point.two.launcher_mb for point in points],
    }
    _lines(memory, "Peak memory, MB", thousands, peaks_mb)
    memory.axhline(MOST_WORKER_MB, color="k", linestyle="--", linewidth=1, label="most that a worker may hold")
    _lines(size, "Features on disk, GB", thousands, {"float16": [point.disk_bytes / 1e9 for point in points]})
    for axes in (cost, time, memory, size):
        axes.set_ylim(0, 1.05 * axes.get_ylim()[1])
        axes.legend(frameon=False, loc="lower right")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None, dpi=120)
    pyplot.close(figure)


def _lines(axes: Axes, title: str, thousands: Sequence[float], series: dict[str, list[float]]) -> None:
    for (name, values), marker in zip(series.items(), "os^", strict=False):
        axes.plot(thousands, values, marker=marker, markersize=5, linewidth=1.5, label=name)
    axes.set_title(title, loc="left", fontsize=11)
    axes.set_xlabel("thousand clips")
    axes.set_xlim(0, 1.04 * thousands[-1])
    axes.grid(axis="y", alpha=0.3)


if __name__ == "__main__":
    main()
