"""What the fault suite saw -> docs/reliability.md.

python -m tests.faults.table FOLDER docs/reliability.md
"""

import json
import os
import re
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from asr.errors import UserError, ending_in_a_line
from tests.faults.flow import N_UTTERANCES

FOLDER = "FAULTS_SEEN"  # in the environment: where the tests note what they saw
TITLES = {
    "processes": "Processes",
    "storage": "Storage",
    "stores": "Object stores",
    "servers": "Servers",
    "input": "Input",
    "security": "Hostile input",
    "load": "Load",
}
LEAST = 50
_HEAD = Path(__file__).with_name("reliability.md")


@dataclass(frozen=True)
class Seen:
    """A fault: what the user sees, what is kept, the seconds that it cost, and what was found with it and mended."""

    group: str
    fault: str
    sees: str
    keeps: str
    lost_s: float | None = None
    mended: str = ""

    def __post_init__(self) -> None:
        if self.group not in TITLES:
            raise ValueError(f"{self.group!r} is no group of faults; known: {', '.join(TITLES)}")


def note(seen: Seen) -> None:
    """Keeps it for the table, where the environment asks for one."""
    if folder := os.environ.get(FOLDER):
        Path(folder).mkdir(parents=True, exist_ok=True)
        with Path(folder, f"{os.getpid()}.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(seen)) + "\n")


def read(folder: Path) -> list[Seen]:
    """All that was noted there, by group, then by name. Raises `UserError` for too few, or one that is there twice."""
    lines = [line for path in folder.glob("*.jsonl") for line in path.read_text(encoding="utf-8").splitlines()]
    found = [Seen(**json.loads(line)) for line in lines]
    names = [seen.fault for seen in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"{folder}: noted twice: {', '.join(twice)}; remove the folder and run the suite again")
    if len(found) < LEAST:
        raise UserError(f"{folder}: {len(found)} faults, but the suite has at least {LEAST}; run all of tests/faults")
    return sorted(found, key=lambda seen: (list(TITLES).index(seen.group), seen.fault))


def page(found: list[Seen]) -> str:
    """The table as Markdown, a part for each group."""
    n_mended = sum(bool(seen.mended) for seen in found)
    head = _HEAD.read_text(encoding="utf-8")
    parts = [head.format(n=len(found), n_mended=n_mended, n_utterances=N_UTTERANCES)]
    for group, title in TITLES.items():
        rows = [seen for seen in found if seen.group == group]
        if rows:
            parts.append(f"## {title}\n\n" + "\n".join([*_HEADER, *map(_row, rows)]) + "\n")
    return "\n".join(parts)


_HEADER = ("| fault | what you see | what is kept | seconds lost | found and mended |", "|---|---|---|--:|---|")


def _row(seen: Seen) -> str:
    lost = "" if seen.lost_s is None else f"{max(0.0, seen.lost_s):.0f}"
    sees = f"<code>{_cell(seen.sees)}</code>" if seen.sees else "nothing"
    return f"| {_cell(seen.fault)} | {sees} | {_cell(seen.keeps)} | {lost} | {_cell(seen.mended)} |"


def _cell(text: str) -> str:
    """One line, without what only this run's folders are called, which a bar does not cut."""
    text = text.replace(sys.prefix, ".venv")
    text = re.sub(r"/tmp/pytest-of-\w+/pytest-\d+/(popen-\w+/)?[\w-]+", "...", " ".join(text.split()))
    printable = "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)
    return printable.replace("|", "\\|").replace("`", "'").replace("<", "&lt;")


def main() -> None:
    with ending_in_a_line():
        Path(sys.argv[2]).write_text(page(read(Path(sys.argv[1]))), encoding="utf-8")


if __name__ == "__main__":
    main()
