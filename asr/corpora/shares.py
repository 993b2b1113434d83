"""What `data.sources` says of each corpus of a mixture -> `sources.json` beside the manifest, and back.

It stands apart from the manifest, so that another weight makes no features anew.
"""

import json
from pathlib import Path
from typing import NamedTuple

from asr.params import Data
from asr.utterances import Rejected

SHARES = "sources.json"


class Share(NamedTuple):
    """How often a corpus' train rows come beside those of others, and how many hours of them at most (None: all)."""

    weight: float
    max_hours: float | None


def over_hours(name: str, source: str, max_hours: float) -> Rejected:
    """Why a row is not used: those before it fill the hours of its corpus."""
    return Rejected(name, "over max_hours", f"data.sources: {source} is to have {max_hours:g} hours")


def write_shares(data: Data, folder: Path) -> None:
    """Empty where there is no mixture."""
    shares = {name: Share(part.weight, part.max_hours)._asdict() for name, part in data.named_sources().items()}
    (folder / SHARES).write_text(json.dumps(shares, indent=1) + "\n", encoding="utf-8")


def read_shares(folder: Path) -> dict[str, Share]:
    """By the corpus' name."""
    content = json.loads((folder / SHARES).read_text(encoding="utf-8"))
    return {name: Share(**share) for name, share in content.items()}
