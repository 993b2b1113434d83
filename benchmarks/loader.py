"""Features on disk -> what a batch of them costs: our loader, `datasets` streaming, and a bare scan of our shards.

python benchmarks/loader.py [--clips 8000] [--repeats 2] [--manifest FOLDER]

Clips of 5 s, real speech joined and cut, are padded to 10 s in our way and to 30 s in the notebook's. Each way is a
process on one core that measures itself from the first batch on: clips a second, and CPU time a clip. (A worker of a
DataLoader has the second core, and hands its batches over through shared memory.) Then the peak memory of ours by the
size of the corpus, and the share of its time that a device of 500 clips a second, which a sleep stands for, waits for
one worker. How many GPUs that worker feeds is computed from its rate and published figures, not measured.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, median

from lib.corpora import real_clips
from lib.gpus import PEAK_TFLOPS, SIZES, UTILISATION, gpus_fed
from lib.joined import link_shards, rows_of, write_padded, write_shards
from lib.processes import measured
from lib.results import RESULTS, Target, report, table

from asr import params
from asr.corpora import manifest
from asr.models.base import fetch
from asr.shards import read_columns

BENCHMARKS = Path(__file__).parent.resolve()
STREAMING, SCAN = "datasets, streaming", "a bare scan of ours"
OURS, OURS_UINT8, WORKER = "ours", "ours, uint8", "ours, in a DataLoader's worker"
CLIP_S, WINDOW_S = 5, 10
DEVICE_CLIPS_PER_S = 500

Run = dict[str, float]


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _features(options, folder)
        ways = {
            STREAMING: ("streaming", folder / "padded"),
            SCAN: ("scan", folder / "float16-all"),
            OURS: ("ours", folder / "float16-all"),
            OURS_UINT8: ("ours", folder / "uint8-all"),
            WORKER: ("worker", folder / "float16-all"),
        }
        runs = {way: [_run(*ways[way]) for _ in range(options.repeats)] for way in ways}
        memory_mb = {size: _run("ours", folder / f"sized-{size}")["peak_mb"] for size in options.sizes}
        waiting = [_run("waiting", folder / "float16-all") for _ in range(options.repeats)]
        n_labels = mean(map(len, read_columns(folder / "float16", "train", ["labels"])["labels"].to_pylist()))
    print(f"Clips of {CLIP_S} s, {n_labels:.0f} labels each; every way on one core, a worker beside another\n")
    print(_costs(runs) + "\n")
    share = _clips_per_s(runs[OURS]) / _clips_per_s(runs[SCAN])
    print(f"On one core, ours makes batches at {share:.0%} of the rate at which its shards can be read at all.\n")
    print(_gpus(_clips_per_s(runs[WORKER]), n_labels) + "\n")
    print(
        table(
            ["clips in the corpus", "peak memory of ours, MB"], [[f"{n:,}", f"{memory_mb[n]:,.0f}"] for n in memory_mb]
        )
    )
    measures = {"runs": runs, "memory_mb": memory_mb, "waiting": waiting, "labels": n_labels}
    report("loader", measures, _targets(runs, memory_mb, waiting), options.results)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=8_000, help="that ours and the scan read, in links to --distinct")
    parser.add_argument("--distinct", type=int, default=1_000, help="clips that differ")
    parser.add_argument("--padded", type=int, default=300, help="clips that the notebook's way reads")
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=[1_000, 10_000, 50_000], help="whose memory is measured"
    )
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--manifest", type=Path, help="folder of another corpus' manifest, instead of Tux Paint")
    parser.add_argument("--base", type=Path, help="folder of a checkpoint's tokenizer, instead of a new one's")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the JSON")
    return parser.parse_args()


def _features(options: argparse.Namespace, folder: Path) -> None:
    """What the ways read, below `folder`."""
    base = options.base or folder / "base"
    if not options.base:
        fetch(params.Model(checkpoint="scratch"), base)
    clips = list(manifest.read(options.manifest)) if options.manifest else real_clips(folder / "clips", 10_000)
    rows = list(rows_of(clips, base, CLIP_S, options.distinct))
    for codec in ("float16", "uint8"):
        write_shards(folder / codec, rows, codec)
        link_shards(folder / codec, folder / f"{codec}-all", options.clips)
    for size in options.sizes:
        link_shards(folder / "float16", folder / f"sized-{size}", size)
    write_padded(folder / "float16", folder / "padded", options.padded)


def _run(way: str, features: Path) -> Run:
    print(f"{way}, {features.name}", file=sys.stderr, flush=True)
    out = features / "measured.json"
    words = ["streaming.py"] if way == "streaming" else ["loading.py", way]
    options = [] if way == "streaming" else [str(DEVICE_CLIPS_PER_S)]
    command: list[str | Path] = [sys.executable, BENCHMARKS / "ways" / words[0], *words[1:], features, out, *options]
    environment = {
        "PYTHONPATH": os.pathsep.join([str(BENCHMARKS), *filter(None, [os.environ.get("PYTHONPATH")])]),
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_CACHE": str(features / "cache"),
    }
    cores = None if way in ("worker", "waiting") else {0}
    usage = measured(command, Path.cwd(), cores, environment)
    return {**json.loads(out.read_text()), "peak_mb": max(usage.launcher_mb, usage.worker_mb)}


def _clips_per_s(runs: Sequence[Run]) -> float:
    return median(run["clips"] / run["wall_s"] for run in runs)


def _cpu_ms(runs: Sequence[Run]) -> float:
    return median(1e3 * run["cpu_s"] / run["clips"] for run in runs)


def _costs(runs: Mapping[str, Sequence[Run]]) -> str:
    rows = [
        [
            way,
            f"{_clips_per_s(of_way):,.0f}",
            f"{_cpu_ms(of_way):.3f}",
            f"{_cpu_ms(of_way) / _cpu_ms(runs[OURS]):,.1f}",
            f"{max(run['peak_mb'] for run in of_way):,.0f}",
        ]
        for way, of_way in runs.items()
    ]
    return table(["way", "clips a second", "CPU ms a clip", "to ours", "peak memory, MB"], rows)


def _gpus(clips_per_s: float, n_labels: float) -> str:
    rows = [
        [name, *(f"{gpus_fed(clips_per_s, gpu, size, WINDOW_S, n_labels):,.1f}" for gpu in PEAK_TFLOPS)]
        for name, size in SIZES.items()
    ]
    title = f"GPUs that one worker feeds: arithmetic, at {UTILISATION:.0%} of the published peak\n\n"
    return title + table(["Whisper", *PEAK_TFLOPS], rows)


def _targets(runs: Mapping[str, Sequence[Run]], memory_mb: Mapping[int, float], waiting: Sequence[Run]) -> list[Target]:
    sizes = sorted(memory_mb)
    share = median(run["waited_s"] / run["wall_s"] for run in waiting)
    to_streaming = _cpu_ms(runs[STREAMING]) / _cpu_ms(runs[OURS])
    return [
        Target("datasets' streaming to ours, CPU a clip", to_streaming, at_least=10),
        Target(f"clips of {CLIP_S} s a second, one worker", _clips_per_s(runs[WORKER]), at_least=2_000),
        Target(
            f"peak memory, {sizes[-1]:,} clips to {sizes[0]:,}", memory_mb[sizes[-1]] / memory_mb[sizes[0]], at_most=1.1
        ),
        Target(f"% of its time that a device of {DEVICE_CLIPS_PER_S} clips/s waits", 100 * share, at_most=1),
    ]


if __name__ == "__main__":
    main()
