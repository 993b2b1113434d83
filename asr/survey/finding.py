"""What is probably wrong with a corpus, in how many rows, and which param mends it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from asr.languages import NAMES
from asr.survey.rows import Rows

N_EXAMPLES = 5
MANY_SHARE = 0.1  # of all rows, from which a person should think twice


@dataclass(frozen=True)
class Finding:
    """`n` rows (or texts, speakers, characters); `param` is a line to paste into params.yaml, or what else mends it.

    `rows` are the places of those that a person should hear; the larger `weight`, the more it matters.
    """

    title: str
    n: int
    detail: str
    param: str
    weight: float
    examples: Sequence[str] = ()
    rows: Sequence[int] = field(default=(), repr=False)


def quoted(rows: Rows, places: Sequence[int]) -> list[str]:
    """The texts of the first few."""
    return [rows.of("trained_text")[place][:80] for place in places[:N_EXAMPLES]]


def share_of(n: int, rows: Rows) -> str:
    """A sentence on the share of `n` utterances, where it is large."""
    share = n / len(rows)
    return f" They are {share:.0%} of all: listen before you set them aside." if share >= MANY_SHARE else ""


def language_name(code: str) -> str:
    return NAMES.get(code, code).title()
