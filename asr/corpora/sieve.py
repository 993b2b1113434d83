"""Rows of a corpus as they stream by -> those that can be used, with a split each, and those that cannot, with why."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from asr import params
from asr.corpora import manifest
from asr.corpora.limits import Limits
from asr.corpora.shares import over_hours
from asr.corpora.splits import Cut, Cutter
from asr.secrets import without_secrets
from asr.utterances import Rejected, Utterance

ROWS_AT_ONCE = 2_000


class Sieve:
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
                why = over_hours(row.id, source, self._max_hours[source] or 0)
                self.first_rejects.setdefault(why.reason, why)
                yield why

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
        row = Rejected(_writable(row.id), row.reason, _writable(row.detail))
        self.first_rejects.setdefault(row.reason, row)
        return row


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
    for field in ("audio", "id"):
        address = getattr(row, field)
        if "://" in address and without_secrets(address) != address:
            return Rejected(row.id, f"secret in {field}", f"{row.audio}; what opens it belongs into the environment")
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


def _writable(value: str) -> str:
    return without_secrets(value).encode(errors="backslashreplace").decode()
