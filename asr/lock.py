"""dvc.lock: what DVC noted of the stages that have run."""

from pathlib import Path
from typing import Any

import yaml

from asr.errors import UserError

LOCK = Path("dvc.lock")
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast as one in Python


def stages() -> dict[str, dict[str, Any]]:
    """By their names: `deps` and `outs`, each with `path` and `md5`; none where nothing has run.

    Raises `UserError` if the file is none of DVC's.
    """
    if not LOCK.exists():
        return {}
    try:
        content = yaml.load(LOCK.read_text(encoding="utf-8"), _LOADER)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{LOCK} cannot be read ({reason}): put git's version back, or remove it") from error
    return (content or {}).get("stages") or {}
