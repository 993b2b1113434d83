"""dvc.lock: what DVC noted of the stages that have run, read, and set aside where DVC was ended as it wrote it.

python -m asr.lock
"""

from pathlib import Path
from typing import Any

import yaml

from asr.errors import UserError, ending_in_a_line
from asr.progress import say

LOCK = Path("dvc.lock")
_MERGE = "<<<<<<<"
ASIDE = Path(".dvc/tmp/dvc.lock.broken")
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast as one in Python


def stages() -> dict[str, dict[str, Any]]:
    """By their names: `cmd`, `deps` and `outs`, these with `path` and `md5`; none where nothing has run.

    Raises `UserError` if the file is broken, or in the middle of a merge.
    """
    if not LOCK.exists():
        return {}
    text = LOCK.read_text(encoding="utf-8", errors="replace")
    if _MERGE in text:
        raise UserError(f"{LOCK} has marks of a merge: choose a side, or remove it; DVC's run cache knows what it said")
    try:
        content = yaml.load(text, _LOADER)
        found: dict[str, dict[str, Any]] = content.get("stages") or {}
        if "schema" in content and all(_is_whole(stage) for stage in found.values()):
            return found
    except (yaml.YAMLError, AttributeError, TypeError):
        pass
    raise UserError(f"{LOCK} is broken: `make mend` sets it aside, and DVC's run cache knows what it said")


def _is_whole(stage: dict[str, Any]) -> bool:
    """As DVC wants it: it writes the file from its beginning, and a process that is ended leaves a part of it."""
    entries = [*(stage.get("deps") or []), *(stage.get("outs") or [])]
    return bool(stage.get("cmd")) and all("path" in entry for entry in entries)


def set_aside() -> bool:
    """Moves a broken one away, and tells whether there was one; marks of a merge are left to who merges."""
    try:
        stages()
    except UserError:
        if _MERGE in LOCK.read_text(encoding="utf-8", errors="replace"):
            return False
        ASIDE.parent.mkdir(parents=True, exist_ok=True)
        LOCK.replace(ASIDE)
        return True
    return False


def main() -> None:
    with ending_in_a_line():
        if set_aside():
            say(
                f"{LOCK} was broken, and is now {ASIDE}: DVC was ended as it wrote it, and its run cache knows the rest"
            )


if __name__ == "__main__":
    main()
