"""The last `dvc repro` -> the tables of docs/results.md: corpus, scores before and after, costs of the stages.

python benchmarks/flow.py
"""

import json
import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from asr.shards import Index, read_columns, read_index

PADDED_BYTES = 80 * 3000 * 4  # of a clip in the notebook's dataset: float32, 30 s
DATA = Path("data")


def main() -> None:
    if not (DATA / "report/metrics.json").exists():
        sys.exit("error: data/report/metrics.json: no such file; run `make repro` first")
    metrics = json.loads((DATA / "report/metrics.json").read_text())
    index = read_index(DATA / "features")
    for part in (_machine(), _corpus(index), _scores(metrics), _costs(), _training()):
        print("\n".join(part), end="\n\n")


def _machine() -> Iterator[str]:
    names = [
        line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    yield f"Machine: {len(names)} cores of {names[0]}, {memory_gb:.0f} GB, Python {platform.python_version()}"


def _corpus(index: Index) -> Iterator[str]:
    yield "| split | utterances | hours | features, MB | as padded float32, MB | ratio |"
    yield "|---|---|---|---|---|---|"
    for split, entries in index.splits.items():
        hours = sum(read_columns(DATA / "features", split, ["duration_s"])["duration_s"].to_pylist()) / 3600
        rows, size_mb = index.rows(split), sum(entry.bytes for entry in entries) / 1e6
        padded_mb = rows * PADDED_BYTES / 1e6
        yield f"| {split} | {rows:,} | {hours:.2f} | {size_mb:.1f} | {padded_mb:,.0f} | {padded_mb / size_mb:.0f} |"


def _scores(metrics: dict[str, Any]) -> Iterator[str]:
    columns = "utterances | words | WER before | after | at 30 s | CER before | after | normalised WER before | after"
    yield f"| language | {columns} |"
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for name, scores in [("all", metrics), *metrics["language"].items()]:
        before, at_30s = scores["baseline"], scores["window_30s"]
        yield " | ".join(
            [
                f"| {name}",
                f"{scores['n_utterances']:,}",
                f"{scores['n_words']:,}",
                _percent(before["wer"]),
                _percent(scores["wer"], scores["wer_interval"]),
                _percent(at_30s["wer"]),
                _percent(before["cer"]),
                _percent(scores["cer"], scores["cer_interval"]),
                _percent(before["wer_normalized"]),
                _percent(scores["wer_normalized"], scores["wer_normalized_interval"]) + " |",
            ]
        )


def _percent(rate: float | None, interval: list[float] | None = None) -> str:
    if rate is None:
        return "-"
    return f"{100 * rate:.1f} %" + (f" ({100 * interval[0]:.1f} to {100 * interval[1]:.1f})" if interval else "")


def _costs() -> Iterator[str]:
    yield "| stage | seconds | CPU seconds | peak memory, MiB |"
    yield "|---|---|---|---|"
    lines = (DATA / "costs.jsonl").read_text().splitlines()
    for stage, costs in {(entry := json.loads(line))["stage"]: entry for line in lines}.items():
        yield f"| {stage} | {costs['wall_s']:.0f} | {costs['cpu_s']:.0f} | {costs['peak_mb']:,} |"


def _training() -> Iterator[str]:
    training = json.loads((DATA / "run.json").read_text())["training"]
    shown = (
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in training.items()
    )
    yield "Training: " + ", ".join(shown)


if __name__ == "__main__":
    main()
