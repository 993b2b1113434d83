"""dvc.lock and what the stages have made -> the files that are no longer what they were then.

A failing disk changes neither the size nor the time of a file, and by these two DVC takes one for unchanged.

python -m asr.damage
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asr import lock
from asr.errors import UserError, ending_in_a_line
from asr.progress import say, track

CACHE = Path(".dvc/cache/files/md5")  # DVC's, where .dvc/config does not move it


@dataclass(frozen=True)
class Made:
    """A file that a stage has made, its md5 as DVC noted it then, and the stage."""

    path: Path
    md5: str
    stage: str

    @property
    def is_damaged(self) -> bool:
        """One that is gone, or cannot be read, is DVC's to notice."""
        try:
            with self.path.open("rb") as file:
                return hashlib.file_digest(file, "md5").hexdigest() != self.md5
        except OSError:
            return False

    @property
    def is_shard(self) -> bool:
        """Whoever reads a shard checks its pages; the features are too large to read twice."""
        return self.path.suffix == ".parquet" and self.path.stem.isdigit()

    @property
    def cached(self) -> Path:
        return CACHE / self.md5[:2] / self.md5[2:]


def made(paths: Iterable[Path] | None = None, *, but_by: str = "") -> list[Made]:
    """The files in those of the outputs that are among `paths` (None: in all), but for those of one stage."""
    wanted = None if paths is None else set(paths)
    return [
        file
        for stage, entry in lock.stages().items()
        if stage != but_by
        for out in entry.get("outs") or []
        if wanted is None or Path(out["path"]) in wanted
        for file in _files(stage, out)
    ]


def _files(stage: str, out: dict[str, Any]) -> Iterator[Made]:
    """Those of a folder are listed in DVC's cache; without that list, none is known."""
    md5 = out.get("md5", "")
    if not md5:
        return
    if not md5.endswith(".dir"):
        yield Made(Path(out["path"]), md5, stage)
        return
    listed = CACHE / md5[:2] / md5[2:]
    if listed.exists():
        for entry in json.loads(listed.read_text(encoding="utf-8")):
            yield Made(Path(out["path"]) / entry["relpath"], entry["md5"], stage)


def check_inputs(stage: str, paths: Iterable[Path], *, with_shards: bool = False) -> None:
    """Raises `UserError`, with a line for each damaged file in `paths` that another stage has made."""
    files = [file for file in made(paths, but_by=stage) if with_shards or not file.is_shard]
    if damaged := [file for file in files if file.is_damaged]:
        raise UserError("\n".join(map(_line, damaged)))


def _line(file: Made) -> str:
    return (
        f"{file.path} is damaged: no longer what `{file.stage}` has made; `make mend` takes it away, with its copy in "
        "DVC's cache, and `dvc repro` makes it again"
    )


def mend() -> list[Path]:
    """Removes each damaged file, here and in DVC's cache, so that the next `dvc repro` makes it; their paths."""
    files, removed = made(), []
    for file in track(files, "looking for damage", len(files)):
        if file.is_damaged:
            file.path.unlink()
            file.cached.unlink(missing_ok=True)
            removed.append(file.path)
    return removed


def main() -> None:
    lock.main()
    with ending_in_a_line():
        removed = mend()
    for path in removed:
        say(f"{path} was damaged, and is removed")
    say(f"{len(removed)} damaged; run `dvc repro`" if removed else "nothing is damaged")


if __name__ == "__main__":
    main()
