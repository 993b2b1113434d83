"""Names and versions of files -> a small JSON whose bytes change when any of them does."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any


def write(path: Path, files: Iterable[tuple[str, str]], choices: Mapping[str, Any] | None = None) -> None:
    """`files` are (name, version) pairs, in any order; `choices` are params that decide which of them are read."""
    lines = sorted(f"{name}\0{version}\n" for name, version in files)
    digest = hashlib.sha256()
    for line in lines:  # which may be a million
        digest.update(line.encode(errors="surrogatepass"))
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"files": len(lines), "digest": digest.hexdigest()}
    write_choices(path, content if choices is None else content | {"choices": choices})


def write_choices(path: Path, choices: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(choices, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def of_directory(folder: Path) -> Iterator[tuple[str, str]]:
    """The files in a directory with size and time; nothing where there is none."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        state = path.stat()
        yield path.name, f"{state.st_size}-{state.st_mtime_ns}"
