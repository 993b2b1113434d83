"""The rows of a source -> the manifest, with a split for each utterance, and the rows that are not used, with why.

The rows stream through: in memory are some thousand of them, and 27 bytes of each.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from asr import params
from asr.corpora import manifest
from asr.corpora.rejects import write_rejects
from asr.corpora.sieve import Sieve
from asr.corpora.splits import MIN_GROUPS, Home
from asr.errors import UserError
from asr.utterances import SPLITS, Rejected, Split, Utterance


@dataclass(frozen=True)
class Summary:
    """What a manifest holds, as the few lines that a person reads."""

    counts: Counter[tuple[Home, str]]  # (language, or corpus and language; split) -> utterances
    duration_s: float  # of the utterances whose duration is known
    n_unknown: int  # utterances whose duration is not
    rejects: dict[str, int]  # reason -> rows, commonest first
    shared_texts: int  # texts in more than one split
    shared_speakers: int

    @property
    def n_utterances(self) -> int:
        return self.counts.total()

    def __str__(self) -> str:
        lines = [f"{self.n_utterances:,} utterances{self._hours()}"]
        homes = {str(home): home for home, _ in self.counts}
        width = max(10, *(len(name) + 1 for name in homes))
        lines += [f"  {'language':<{width}}" + "".join(f"{split:>12}" for split in SPLITS)]
        for name, home in sorted(homes.items()):
            lines += [f"  {name:<{width}}" + "".join(f"{self.counts[home, split]:>12,}" for split in SPLITS)]
        if self.rejects:
            reasons = ", ".join(f"{n:,} {reason}" for reason, n in self.rejects.items())
            lines += [f"{sum(self.rejects.values()):,} rows rejected: {reasons}"]
        if self.shared_texts or self.shared_speakers:
            lines += [f"in more than one split: {self.shared_texts:,} texts, {self.shared_speakers:,} speakers"]
        return "\n".join(lines)

    def _hours(self) -> str:
        if self.n_unknown == self.n_utterances:
            return ""
        rest = f" (and {self.n_unknown:,} of unknown length)" if self.n_unknown else ""
        return f", {self.duration_s / 3600:.2f} hours{rest}"


def write(
    items: Iterable[Utterance | Rejected], folder: Path, data: params.Data, splits: Sequence[Split] = SPLITS
) -> Summary:
    """Writes the manifest of a corpus; rows that cannot be used are rejected, with a reason.

    Raises `UserError` if nothing is left, or nothing for one of `splits`.
    """
    sieve = Sieve(data)
    with manifest.Draft(folder) as draft:
        rejects = write_rejects(folder, chain(sieve.sift(items, draft), sieve.bound(draft)))
        if not sieve.n_utterances:
            raise UserError(_why_empty(rejects, sieve.first_rejects, data))
        cut = sieve.cut.without(sieve.over)
        counts = cut.counts()
        _check_splits(counts, data, splits)
        draft.finish(sieve.cut.splits, ~sieve.over)
    return Summary(counts, sieve.duration_s, sieve.n_unknown, rejects, *cut.leaks())


def _why_empty(rejects: dict[str, int], first: dict[str, Rejected], data: params.Data) -> str:
    """`rejects` are the counts of each reason, `first` a row of each."""
    if not rejects:
        return f"the corpus is empty: {_place(data)} has no rows"
    reasons = [
        f"{reason} ({n:,}, such as {first[reason].id!r}: {' '.join(first[reason].detail.split())})"
        for reason, n in list(rejects.items())[:3]
    ]
    return f"all {sum(rejects.values()):,} rows of {_place(data)} were rejected: {'; '.join(reasons)}"


def _place(data: params.Data) -> str:
    return "data.sources" if data.sources else f"data.source {data.source}"


def _check_splits(counts: Counter[tuple[Home, str]], data: params.Data, splits: Sequence[Split]) -> None:
    """Raises `UserError` for the splits that have no rows, with what would give them some."""
    present = {split for _, split in counts}
    shares = {"validation": data.split.validation, "test": data.split.test}
    problems = []
    for split in splits:
        remedy = "name some in the corpus' split column, or leave the column empty so that the splits are cut"
        if split in shares:
            remedy += f" (data.split.{split}, now {shares[split]}; needs at least {MIN_GROUPS} texts of a language)"
        if split not in present:
            problems.append(f"none of the {counts.total():,} utterances is in the {split} split: {remedy}")
    if problems:
        raise UserError("\n".join(problems))
