"""What a result came from: the commit that is checked out, and the digests that DVC knows its inputs by."""

import subprocess
from pathlib import Path

from asr import lock


def git_commit() -> str | None:
    """The commit that is checked out here, `-dirty` where tracked files differ from it; None outside a repository."""
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip()


def dvc_digest(path: Path) -> str | None:
    """The digest of an out or dep of a stage that has run, as dvc.lock has it; None where DVC does not know it."""
    stages = lock.stages().values()
    known = [entry for kind in ("outs", "deps") for stage in stages for entry in stage.get(kind) or []]
    return next((entry.get("md5") for entry in known if Path(entry["path"]) == path), None)
