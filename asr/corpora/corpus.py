"""The rows of a source -> the manifest, with a split for each utterance, and the rows that are not used, with why.

The rows stream through: in memory are some thousand of them, and 27 bytes of each.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from asr import params
from asr.corpora import manifest
from asr.corpora.limits import Limits
from asr.corpora.rejects import write_rejects
from asr.corpora.shares import over_hours
from asr.corpora.splits import MIN_GROUPS, Cut, Cutter, Home
from asr.errors import UserError
from asr.utterances import SPLITS, Rejected, Split, Utterance

ROWS_AT_ONCE = 10_000


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
    sieve = _Sieve(data)
    with manifest.Draft(folder) as draft:
        rejects = write_rejects(folder, chain(sieve.sift(items, draft), sieve.bound(draft)))
        if not sieve.n_utterances:
            raise UserError(_why_empty(rejects, sieve.first_rejects, data))
        cut = sieve.cut.without(sieve.over)
        counts = cut.counts()
        _check_splits(counts, data, splits)
        draft.finish(sieve.cut.splits, ~sieve.over)
    return Summary(counts, sieve.duration_s, sieve.n_unknown, rejects, *cut.leaks())


class _Sieve:
    """Tells the rows of a corpus that can be used from those that cannot, and keeps what is known of them together.

    `cut` and `over`, the rows that a corpus' `max_hours` leaves out, are known when all rows have passed.
    """

    cut: Cut
    over: NDArray[np.bool_]

    def __init__(self, data: params.Data) -> None:
        self._shares = data.split
        self._cutter = Cutter(data.seed)
        self._max_hours = {name: part.max_hours for name, part in data.named_sources().items()}
        self._limits = Limits(self._max_hours, data.seed)
        self.n_utterances = self.n_unknown = 0
        self.duration_s = 0.0  # of the utterances whose duration is known
        self.first_rejects: dict[str, Rejected] = {}  # by reason
        self._ids = Seen()

    def sift(self, items: Iterable[Utterance | Rejected], draft: manifest.Draft) -> Iterator[Rejected]:
        """Writes what can be used, yields what cannot."""
        rows = iter(items)
        while some := [_checked(item) for item in islice(rows, ROWS_AT_ONCE)]:
            is_repeated = iter(self._ids.add([row.id for row in some if isinstance(row, Utterance)]).tolist())
            kept = []
            for row in some:
                if isinstance(row, Utterance) and not next(is_repeated):
                    kept.append(row)
                else:
                    yield self._rejected(row)
            draft.write(kept)
            self._add(kept)

    def bound(self, draft: manifest.Draft) -> Iterator[Rejected]:
        """Once all rows have passed: cuts the splits, and yields the train rows that are over their corpus' hours."""
        if not self.n_utterances:
            return
        self.cut = self._cutter.cut(self._shares)
        self.over = self._limits.over(self.cut.splits)
        if self.over.any():
            for row in draft.chosen(self.over):
                self.n_utterances -= 1
                self.duration_s -= row.duration_s or 0
                source = row.source or ""
                yield over_hours(row.id, source, self._max_hours[source] or 0)

    def _add(self, rows: list[Utterance]) -> None:
        self._cutter.add(rows)
        self._limits.add(rows)
        known_s = [row.duration_s for row in rows if row.duration_s is not None]
        self.n_utterances += len(rows)
        self.n_unknown += len(rows) - len(known_s)
        self.duration_s += sum(known_s)

    def _rejected(self, row: Utterance | Rejected) -> Rejected:
        if isinstance(row, Utterance):
            row = Rejected(row.id, "duplicate id", f"{row.audio}; the first row with this id is kept")
        self.first_rejects.setdefault(row.reason, row)
        return Rejected(_printable(row.id), row.reason, _printable(row.detail))


class Seen:
    """Which names have come before, by 64 bits of a hash each."""

    def __init__(self) -> None:
        self._runs: list[NDArray[np.uint64]] = []  # sorted, each at least twice as long as the next

    def add(self, names: Sequence[str]) -> NDArray[np.bool_]:
        """For each name whether it was in an earlier call, or earlier in this one."""
        digests = b"".join(hashlib.blake2b(name.encode(), digest_size=8).digest() for name in names)
        hashes = np.frombuffer(digests, np.uint64)
        distinct, first = np.unique(hashes, return_index=True)
        is_repeated = np.ones(len(hashes), np.bool_)
        is_repeated[first] = False
        for run in self._runs:
            is_repeated |= run[np.minimum(np.searchsorted(run, hashes), len(run) - 1)] == hashes
        if len(distinct):
            self._runs.append(distinct)
        while len(self._runs) > 1 and len(self._runs[-2]) < 2 * len(self._runs[-1]):
            self._runs[-2:] = [np.union1d(*self._runs[-2:])]
        return is_repeated


def _checked(row: Utterance | Rejected) -> Utterance | Rejected:
    """The row, or why it is not used."""
    if isinstance(row, Rejected):
        return row
    if not row.id:
        return Rejected(row.audio, "empty id")
    for field in ("text", "id", "audio", "speaker"):
        value = getattr(row, field)
        if value is not None and (not _is_unicode(value) or "\ufffd" in value):
            return Rejected(row.id, f"undecodable {field}", value[:100])
    if not row.text.strip():
        return Rejected(row.id, "empty text")
    return row


def _is_unicode(value: str) -> bool:
    """False with lone surrogates, which is how Python reads bytes that are not UTF-8 (file names, for one)."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _printable(value: str) -> str:
    return value.encode(errors="backslashreplace").decode()


def _why_empty(rejects: dict[str, int], first: dict[str, Rejected], data: params.Data) -> str:
    """`rejects` are the counts of each reason, `first` a row of each."""
    if not rejects:
        return f"the corpus is empty: {_place(data)} has no rows"
    reasons = [
        f"{reason} ({n:,}, such as {first[reason].id!r}: {first[reason].detail})"
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
