"""What `data.sources` says of each corpus of a mixture beyond where it lies."""

from typing import NamedTuple

from asr.params import Data
from asr.utterances import Rejected


class Share(NamedTuple):
    """How often a corpus' train rows come beside those of others, and how many hours of them at most (None: all)."""

    weight: float
    max_hours: float | None


def shares_of(data: Data) -> dict[str, Share]:
    """By the corpus' name; none where there is no mixture."""
    return {name: Share(part.weight, part.max_hours) for name, part in data.named_sources().items()}


def over_hours(name: str, source: str, max_hours: float) -> Rejected:
    """Why a row is not used: those before it fill the hours of its corpus."""
    return Rejected(name, "over max_hours", f"data.sources: {source} is to have {max_hours:g} hours")
