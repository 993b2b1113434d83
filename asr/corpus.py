"""The rows of a source -> the manifest, with a split for each utterance, and the rows that are not used, with why."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from asr import manifest, params
from asr.errors import UserError
from asr.rejects import count_reasons, write_rejects
from asr.splits import MIN_GROUPS, cut, leaks
from asr.utterances import SPLITS, Rejected, Split, Utterance


@dataclass(frozen=True)
class Summary:
    """What a manifest holds, as the few lines that a person reads."""

    counts: Counter[tuple[str, str]]  # (language, split) -> utterances
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
        lines += [f"  {'language':<10}" + "".join(f"{split:>12}" for split in SPLITS)]
        for language in sorted({language for language, _ in self.counts}):
            lines += [f"  {language:<10}" + "".join(f"{self.counts[language, split]:>12,}" for split in SPLITS)]
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
    utterances, rejects = _sift(items)
    write_rejects(folder, rejects)
    if not utterances:
        raise UserError(_why_empty(rejects, data))
    utterances = cut(utterances, data.split, data.seed)
    _check_splits(utterances, data, splits)
    manifest.write(utterances, folder)
    known_s = [row.duration_s for row in utterances if row.duration_s is not None]
    return Summary(
        Counter((row.language, str(row.split)) for row in utterances),
        sum(known_s),
        len(utterances) - len(known_s),
        count_reasons(rejects),
        *leaks(utterances),
    )


def _sift(items: Iterable[Utterance | Rejected]) -> tuple[list[Utterance], list[Rejected]]:
    utterances: list[Utterance] = []
    rejects: list[Rejected] = []
    ids: set[str] = set()
    for item in items:
        kept = item if isinstance(item, Rejected) else _checked(item, ids)
        if isinstance(kept, Utterance):
            ids.add(kept.id)
            utterances.append(kept)
        else:
            rejects.append(Rejected(_printable(kept.id), kept.reason, _printable(kept.detail)))
    return utterances, rejects


def _checked(row: Utterance, ids: set[str]) -> Utterance | Rejected:
    """The row, or why it is not used; `ids` are those before it."""
    if not row.id:
        return Rejected(row.audio, "empty id")
    for field in ("text", "id", "audio", "speaker"):
        value = getattr(row, field)
        if value is not None and (not _is_unicode(value) or "\ufffd" in value):
            return Rejected(row.id, f"undecodable {field}", value[:100])
    if not row.text.strip():
        return Rejected(row.id, "empty text")
    if row.id in ids:
        return Rejected(row.id, "duplicate id", f"{row.audio}; the first row with this id is kept")
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


def _why_empty(rejects: list[Rejected], data: params.Data) -> str:
    if not rejects:
        return f"the corpus is empty: data.source {data.source} has no rows"
    first = {row.reason: row for row in reversed(rejects)}
    reasons = [
        f"{reason} ({n:,}, such as {first[reason].id!r}: {first[reason].detail})"
        for reason, n in list(count_reasons(rejects).items())[:3]
    ]
    return f"all {len(rejects):,} rows of data.source {data.source} were rejected: {'; '.join(reasons)}"


def _check_splits(utterances: list[Utterance], data: params.Data, splits: Sequence[Split]) -> None:
    """Raises `UserError` for the splits that have no rows, with what would give them some."""
    present = {row.split for row in utterances}
    shares = {"validation": data.split.validation, "test": data.split.test}
    problems = []
    for split in splits:
        remedy = "name some in the corpus' split column, or leave the column empty so that the splits are cut"
        if split in shares:
            remedy += f" (data.split.{split}, now {shares[split]}; needs at least {MIN_GROUPS} texts of a language)"
        if split not in present:
            problems.append(f"none of the {len(utterances):,} utterances is in the {split} split: {remedy}")
    if problems:
        raise UserError("\n".join(problems))
