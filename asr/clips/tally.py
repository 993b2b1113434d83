"""Rows of shards -> what they hold in numbers that add up, and the summary that a person reads at the end.

All counts are integers, so that a corpus has one tally however its rows were dealt to shards and workers.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from asr.features import RATE_HZ
from asr.languages import NAMES
from asr.utterances import Seconds

BIN_S: Seconds = 0.5  # of the histogram of durations
CLIPPED_SHARE = 1e-3  # of the samples at full scale, from which a clip counts as clipped
MAX_LANGUAGES = 20  # lines of the summary; the smaller languages share one
MAX_CHARACTERS = 40  # of those outside of the alphabet, commonest first


@dataclass
class Spoken:
    """How much of one language there is."""

    rows: int = 0
    samples: int = 0  # at 16 kHz

    @property
    def hours(self) -> float:
        return self.samples / RATE_HZ / 3600


@dataclass
class Tally:
    """What a shard or a split holds: `durations` counts rows by their bin of `BIN_S`, `characters` the trained text."""

    languages: dict[str, Spoken] = field(default_factory=dict)
    durations: Counter[int] = field(default_factory=Counter)
    characters: Counter[str] = field(default_factory=Counter)
    frames: int = 0
    labels: int = 0
    max_labels: int = 0  # of one row
    clipped: int = 0

    def add(self, row: Mapping[str, Any]) -> None:
        """`row` has the columns of `asr.shards.SCHEMA`, with `log_mel` still `(M, T)`."""
        spoken = self.languages.get(row["language"])
        if spoken is None:
            spoken = self.languages[row["language"]] = Spoken()
        duration_s, n_labels = row["duration_s"], len(row["labels"])
        spoken.rows += 1
        spoken.samples += round(duration_s * RATE_HZ)
        self.durations[int(duration_s / BIN_S)] += 1
        self.characters.update(row["trained_text"])
        self.frames += row["log_mel"].shape[1]
        self.labels += n_labels
        self.max_labels = max(self.max_labels, n_labels)
        self.clipped += bool(row["clipped_share"] >= CLIPPED_SHARE)  # NumPy's own is no int to JSON

    def __iadd__(self, other: "Tally") -> Self:
        for language, spoken in other.languages.items():
            mine = self.languages.setdefault(language, Spoken())
            mine.rows += spoken.rows
            mine.samples += spoken.samples
        self.durations.update(other.durations)
        self.characters.update(other.characters)
        self.frames += other.frames
        self.labels += other.labels
        self.max_labels = max(self.max_labels, other.max_labels)
        self.clipped += other.clipped
        return self

    @property
    def rows(self) -> int:
        return sum(spoken.rows for spoken in self.languages.values())

    @property
    def hours(self) -> float:
        return sum(spoken.samples for spoken in self.languages.values()) / RATE_HZ / 3600

    def to_json(self) -> dict[str, Any]:
        """Plain values in an order that does not depend on that of the rows."""
        return {
            "languages": {code: [one.rows, one.samples] for code, one in sorted(self.languages.items())},
            "durations": {str(number): count for number, count in sorted(self.durations.items())},
            "characters": dict(sorted(self.characters.items())),
            "frames": self.frames,
            "labels": self.labels,
            "max_labels": self.max_labels,
            "clipped": self.clipped,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        return cls(
            **{
                **content,
                "languages": {code: Spoken(*counts) for code, counts in content["languages"].items()},
                "durations": Counter({int(number): count for number, count in content["durations"].items()}),
                "characters": Counter(content["characters"]),
            }
        )


def total(tallies: Iterable[Tally]) -> Tally:
    """All of them in one."""
    whole = Tally()
    for tally in tallies:
        whole += tally
    return whole


def languages_by_hours(tallies: Mapping[str, Tally]) -> list[str]:
    """The languages of all splits, that with most speech first."""
    spoken = total(tallies.values()).languages
    return sorted(spoken, key=lambda code: (-spoken[code].samples, code))


def outside_alphabet(tallies: Mapping[str, Tally]) -> dict[str, dict[str, int]]:
    """Split -> character -> count, commonest first, of the characters that no text of train has.

    The model can write them only if the base checkpoint could. Splits without any are left out, and so are spaces.
    """
    alphabet = tallies["train"].characters.keys() if "train" in tallies else set()
    found = {}
    for split, tally in tallies.items():
        counts = {c: n for c, n in tally.characters.items() if c not in alphabet and not c.isspace()}
        if counts and split != "train":
            found[split] = dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
    return found


def visible(character: str) -> str:
    """A character to be read on its own: marks on a dotted circle, what has no shape by its number."""
    if unicodedata.category(character)[0] == "M":
        return f"◌{character}"
    return character if character.isprintable() else f"U+{ord(character):04X}"


def summary_lines(tallies: Mapping[str, Tally], rejects: Mapping[str, int]) -> list[str]:
    """For a terminal: utterances and hours by language and split, rejects by reason, unknown characters."""
    lines = _table(tallies)
    whole = total(tallies.values())
    if whole.clipped:
        lines.append(f"clipped: {whole.clipped:,} of {whole.rows:,} utterances")
    if rejects:
        reasons = sorted(rejects.items(), key=lambda item: (-item[1], item[0]))
        lines.append("rejected: " + ", ".join(f"{count:,} {reason}" for reason, count in reasons))
    for split, counts in outside_alphabet(tallies).items():
        shown = " ".join(
            f"{visible(character)} ({count:,})" for character, count in list(counts.items())[:MAX_CHARACTERS]
        )
        more = f" and {len(counts) - MAX_CHARACTERS:,} more" if len(counts) > MAX_CHARACTERS else ""
        lines.append(f"characters of {split} that no text of train has: {shown}{more}")
    return lines


def _table(tallies: Mapping[str, Tally]) -> list[str]:
    """A heading, a line for each language and one for all: utterances, and hours (or minutes), of each split."""
    splits = [split for split, tally in tallies.items() if tally.rows]
    languages = languages_by_hours(tallies)
    groups = {NAMES.get(code, code).title(): [code] for code in languages[:MAX_LANGUAGES]}
    if len(languages) > MAX_LANGUAGES:
        groups[f"{len(languages) - MAX_LANGUAGES} others"] = languages[MAX_LANGUAGES:]
    if len(languages) > 1:
        groups["all"] = languages
    unit, per_hour = ("h", 1) if total(tallies.values()).hours >= 10 else ("min", 60)
    width = max(map(len, groups), default=0)
    lines = [" " * width + "".join(f"{split:>23}" for split in splits)]
    for name, codes in groups.items():
        cells = []
        for split in splits:
            spoken = [tallies[split].languages.get(code, Spoken()) for code in codes]
            amount = f"{per_hour * sum(one.hours for one in spoken):,.1f} {unit}"
            cells.append(f"{sum(one.rows for one in spoken):>10,}{amount:>13}")
        lines.append(f"{name:<{width}}" + "".join(cells))
    return lines
