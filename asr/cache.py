"""Where downloads are kept for the next time: the user's cache folder."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """This project's own, under XDG_CACHE_HOME, or ~/.cache; it need not exist."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "whisper-fine-tuning"
