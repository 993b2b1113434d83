"""A generated table of a million rows -> what the listing and prepare stages cost: seconds and peak memory.

python benchmarks/prepare.py [--rows 1000000]

Each row has a file of its own, a text of its own and no split, which is the hardest case: all is cut by text. No file
is a recording, so that a stage that opened one would fail. The full run takes three minutes and 5 GB of temporary disk.
"""

import argparse
import json
import os
import random
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from lib.processes import Usage, measured
from lib.results import RESULTS, Target, report, table

N_ROWS = 1_000_000
FILES_PER_FOLDER = 1_000
MOST_LINKS = 30_000  # to one file; ext4 allows 65,000
WORDS = (
    *("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("red", "green", "blue", "cat", "dog", "bird", "house", "river", "road", "cloud"),
)
STAGES = {
    "listing": (
        "-m",
        "stages.listing",
        "listing.json",
        "checkpoint.json",
        "sets.json",
        "hears.json",
        "cleans.json",
        "exports.json",
    ),
    "prepare": ("-m", "stages.prepare", "listing.json", "corpus", "manifest"),
}
MOST_S, MOST_MB = 60, 1_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=N_ROWS)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the JSON")
    options = parser.parse_args()
    usages = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print(f"{options.rows:,} rows", file=sys.stderr, flush=True)
        write_corpus(folder, options.rows)
        for stage, command in STAGES.items():
            usages[stage] = measured([sys.executable, *command], folder)
    print(_costs(usages))
    measures = {"rows": options.rows, **{stage: asdict(usage) for stage, usage in usages.items()}}
    report("prepare", measures, _targets(usages), options.results)


def write_corpus(folder: Path, n_rows: int) -> None:
    """Makes `table.tsv`, the files that it names, and `params.yaml`."""
    data = {"source": "table", "table": {"path": "table.tsv"}}
    (folder / "params.yaml").write_text(json.dumps({"data": data}) + "\n")
    with (folder / "table.tsv").open("w", encoding="utf-8") as file:
        file.write("id\taudio\ttext\n")
        for number, (name, text) in enumerate(zip(_files(folder, n_rows), _texts(n_rows), strict=True)):
            file.write(f"utterance-{number:07d}\t{name}\t{text}\n")


def _files(folder: Path, n_files: int) -> Iterator[str]:
    """Names of files that take no room of their own, each made as it is wanted."""
    for number in range(n_files):
        path = folder / f"clips/{number // FILES_PER_FOLDER:04d}/{number:07d}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        if number % MOST_LINKS == 0:
            path.write_bytes(b"no recording")
            original = path
        else:
            os.link(original, path)
        yield str(path.relative_to(folder))


def _texts(n_texts: int) -> Iterator[str]:
    """Different ones, of 8 words."""
    chance = random.Random(1)
    for number in range(n_texts):
        yield f"{' '.join(chance.choices(WORDS, k=7)).capitalize()}, {number}."


def _costs(usages: dict[str, Usage]) -> str:
    rows = [
        (stage, f"{usage.wall_s:.0f}", f"{usage.cpu_s:.0f}", f"{usage.launcher_mb:,.0f}")
        for stage, usage in usages.items()
    ]
    return table(["stage", "s", "CPU s", "peak MB"], rows)


def _targets(usages: dict[str, Usage]) -> list[Target]:
    targets = []
    for stage, usage in usages.items():
        targets.append(Target(f"{stage} of a million rows, seconds", usage.wall_s, at_most=MOST_S))
        targets.append(Target(f"{stage} of a million rows, peak megabytes", usage.launcher_mb, at_most=MOST_MB))
    return targets


if __name__ == "__main__":
    main()
