"""A hundred thousand clips through all stages -> what each holds in memory, on disk and open, and what it leaves.

python benchmarks/load.py [--sizes 10000 100000] [--until STAGE]

Half of the clips are files of 0.3 to 1 s (WAV, FLAC, Ogg, MP3), half are pieces of recordings of a minute. The stages
run as dvc.yaml has them, one after the other, up to a training of 200 steps, its report and its export. What the
features take on disk is predicted from the lengths of the clips and the first stages at 1,000 of them.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml
from lib.mixed import Corpus, mixed_clips
from lib.results import RESULTS, Target, report, table
from lib.watching import ROOT, Watched, disk_bytes, project, watched

SIZES = [10_000, 100_000]
PREDICTED_FROM = 1_000  # clips
MOST_GROWN = 1.3
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
FIRST = ("listing", "fetch", "prepare", "preprocess")
N_MELS, BYTES_A_BIN = 80, 2
EVERY_S = 0.2  # the shortest stage ends within a second
# As many workers for few clips as for many: each of them is as large as the stage alone.
ENVIRONMENT = {"MLFLOW_TRACKING_URI": "", "BEAM_WORKERS": "1"}
CHOICES: dict[str, Any] = {
    "model": {"checkpoint": "scratch", "window_s": 1},
    "train": {"max_steps": 200, "batch_size": 8, "eval_steps": 100, "eval_wer": 20, "precision": "float32"},
    "evaluate": {"bootstrap_samples": 100, "precision": "float32"},
    "export": {"formats": ["hub"]},
}


@dataclass(frozen=True)
class Disk:
    """What lies in the project's folder at the end: what grows with the clips, and the rest."""

    features_bytes: int
    manifest_bytes: int
    rest_bytes: int

    @classmethod
    def of(cls, folder: Path) -> "Disk":
        features, manifest = disk_bytes(folder / "data/features"), disk_bytes(folder / "data/manifest")
        return cls(features, manifest, disk_bytes(folder) - features - manifest)


@dataclass(frozen=True)
class Flow:
    corpus: Corpus
    stages: dict[str, Watched]
    disk: Disk

    @property
    def most_disk_mb(self) -> float:
        return max(sample.disk_mb for stage in self.stages.values() for sample in stage.samples)


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory(dir=options.work) as name:
        small = _flow(Path(name), PREDICTED_FROM, FIRST)
        flows = [_flow(Path(name), size, options.stages) for size in sorted(options.sizes)]
    predicted_mb = _predicted_bytes(small, flows[0].disk, flows[-1].corpus) / 1e6
    print(_table(flows))
    print(f"\ndisk: {predicted_mb:,.0f} MB predicted, {flows[-1].most_disk_mb:,.0f} MB at most")
    measured = {
        "packed": _packed(small),
        "predicted_mb": predicted_mb,
        "flows": [_measures(flow) for flow in [small, *flows]],
    }
    report("load", measured, _targets(flows, predicted_mb), options.results)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="counts of clips")
    parser.add_argument("--work", type=Path, help="folder of what is made, which is removed at the end")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the JSON")
    parser.add_argument(
        "--until", choices=list(STAGES)[len(FIRST) - 1 :], default=list(STAGES)[-1], help="the last stage that runs"
    )
    options = parser.parse_args()
    options.stages = list(STAGES)[: list(STAGES).index(options.until) + 1]
    if len(options.sizes) < 2 or min(options.sizes) <= PREDICTED_FROM:
        parser.error(f"--sizes: at least two above {PREDICTED_FROM:,}, between which growth is seen")
    return options


def _flow(folder: Path, n_clips: int, stages: Sequence[str]) -> Flow:
    """The stages over so many clips."""
    corpus = mixed_clips(folder / f"clips-{n_clips}", n_clips)
    home = folder / f"project-{n_clips}"
    project(home, {**CHOICES, "data": {"source": "table", "table": {"path": str(corpus.table)}}})
    (home / "data").mkdir()
    ran = {}
    for stage in stages:
        words = STAGES[stage]["cmd"].split()[1:]
        ran[stage] = watched([sys.executable, *words], home, ENVIRONMENT, every_s=EVERY_S)
        seen = ran[stage]
        print(f"{n_clips:,} clips, {stage}: {seen.wall_s:.0f} s, {seen.peak_mb:,.0f} MB", file=sys.stderr, flush=True)
    return Flow(corpus, ran, Disk.of(home))


def _packed(small: Flow) -> float:
    """Bytes on disk for a byte of log-Mel in float16, with all that stands beside it in the features."""
    return small.disk.features_bytes / (small.corpus.n_frames * N_MELS * BYTES_A_BIN)


def _predicted_bytes(small: Flow, first: Disk, corpus: Corpus) -> float:
    """frames x mel bins x 2 bytes, packed as in the small flow; its manifest by the row; and the first flow's rest."""
    features = corpus.n_frames * N_MELS * BYTES_A_BIN * _packed(small)
    manifest = small.disk.manifest_bytes / small.corpus.n_clips * corpus.n_clips
    return features + manifest + first.rest_bytes


def _table(flows: Sequence[Flow]) -> str:
    sizes = [f"{flow.corpus.n_clips:,}" for flow in flows]
    last, n_more = len(flows) - 1, flows[-1].corpus.n_clips - flows[-2].corpus.n_clips
    header = ["stage", *(f"s, {size}" for size in sizes), *(f"peak MB, {size}" for size in sizes)]
    header += ["kB a further clip", "most handles", "most processes", "left"]
    rows = []
    for stage in flows[last].stages:
        seen = [flow.stages[stage] for flow in flows]
        slope = 1e3 * (seen[-1].peak_mb - seen[-2].peak_mb) / n_more
        rows.append(
            [
                stage,
                *(f"{one.wall_s:.0f}" for one in seen),
                *(f"{one.peak_mb:,.0f}" for one in seen),
                f"{slope:.2f}",
                seen[-1].most_handles,
                seen[-1].most_processes,
                sum(len(one.left_processes) + len(one.left_files) for one in seen),
            ]
        )
    return table(header, rows)


def _measures(flow: Flow) -> dict[str, Any]:
    stages = {
        name: {
            "wall_s": seen.wall_s,
            "peak_mb": seen.peak_mb,
            "most_handles": seen.most_handles,
            "most_processes": seen.most_processes,
            "most_disk_mb": max(sample.disk_mb for sample in seen.samples),
            "left_processes": seen.left_processes,
            "left_files": seen.left_files,
        }
        for name, seen in flow.stages.items()
    }
    return {
        "n_clips": flow.corpus.n_clips,
        "n_frames": flow.corpus.n_frames,
        "most_disk_mb": flow.most_disk_mb,
        "disk": asdict(flow.disk),
        "stages": stages,
    }


def _targets(flows: Sequence[Flow], predicted_mb: float) -> list[Target]:
    before, after = flows[-2], flows[-1]
    sizes = f"{after.corpus.n_clips:,} clips to {before.corpus.n_clips:,}"
    grown = [
        Target(f"peak memory of {stage}, {sizes}", seen.peak_mb / before.stages[stage].peak_mb, at_most=MOST_GROWN)
        for stage, seen in after.stages.items()
    ]
    ran = [seen for flow in flows for seen in flow.stages.values()]
    return [
        *grown,
        Target("most disk to what was predicted", after.most_disk_mb / predicted_mb, at_most=1.2),
        Target("the same, at least", after.most_disk_mb / predicted_mb, at_least=0.8),
        Target("processes left", sum(len(seen.left_processes) for seen in ran), at_most=0),
        Target("temporary files left", sum(len(seen.left_files) for seen in ran), at_most=0),
    ]


if __name__ == "__main__":
    main()
