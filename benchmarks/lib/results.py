"""Measurements -> what people read (tables, and whether each target is met) and a JSON that the docs quote."""

import json
import os
import platform
import re
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from asr.experiments.provenance import git_commit

RESULTS = Path("benchmarks/results")
PACKAGES = (
    "apache-beam",
    "ctranslate2",
    "datasets",
    "librosa",
    "numpy",
    "pyarrow",
    "scipy",
    "soundfile",
    "soxr",
    "torch",
    "transformers",
)


@dataclass(frozen=True)
class Target:
    """What is claimed, and the figure that was measured; None where this run could not tell."""

    claim: str
    figure: float | None
    at_most: float | None = None
    at_least: float | None = None

    @property
    def verdict(self) -> str:
        if self.figure is None:
            return "NOT MEASURED"
        low = self.at_least is None or self.figure >= self.at_least
        high = self.at_most is None or self.figure <= self.at_most
        return "PASS" if low and high else "MISSED"

    def __str__(self) -> str:
        bound = f"at most {self.at_most:g}" if self.at_most is not None else f"at least {self.at_least:g}"
        digits = ",d" if isinstance(self.figure, int) else ",.2f"
        figure = "" if self.figure is None else f": {self.figure:{digits}}"
        return f"{self.verdict}  {self.claim}{figure} ({bound})"


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def report(name: str, measured: dict[str, Any], targets: Sequence[Target], folder: Path = RESULTS) -> None:
    """Prints the targets and writes `folder/name.json`."""
    print("\n" + "\n".join(map(str, targets)))
    content = {
        "measured": measured,
        "targets": [{**asdict(target), "verdict": target.verdict} for target in targets],
        "machine": machine(),
        "versions": {package: version(package) for package in PACKAGES},
        "commit": git_commit(),
        "date": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"\n{path}")


def machine() -> dict[str, Any]:
    names = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return {
        "cores": os.cpu_count(),
        "processor": names[0] if names else platform.machine(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
        "python": platform.python_version(),
    }
