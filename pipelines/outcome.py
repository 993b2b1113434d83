"""Receipts of a whole job -> `data/features`: shards, rejects, pictures; the index comes last and means success."""

import json
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from asr import storage
from asr.clips.plan import PlannedShard
from asr.clips.tally import Tally
from asr.corpora.rejects import REJECTS, commonest, write_rejects
from asr.errors import UserError
from asr.pages import data_report
from asr.pages.overview import MAX_SAMPLES, OVERVIEW, draw
from asr.shards import Index, ShardEntry, read_first, write_index
from asr.survey.rows import read
from asr.survey.survey import Survey, survey
from asr.utterances import SPLITS, Rejected
from pipelines.receipts import forget, read_receipts

SHARDS = "shards.json"  # in the folder of a split whose shards lie elsewhere


@dataclass
class Outcome:
    """What came out of a job, a split at a time; the reasons count the manifest's rejects too.

    `not_final` are the shards that another run may make better: see `Receipt.is_final`.
    """

    entries: dict[str, list[ShardEntry]] = field(default_factory=lambda: {split: [] for split in SPLITS})
    tallies: dict[str, Tally] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    not_final: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, home: str, planned: Sequence[PlannedShard], before: Iterable[Rejected], work: Path) -> "Outcome":
        """Reads all receipts and writes the rejects to `work`, those of `before` last.

        Raises `UserError` where a split that had rows has none left.
        """
        outcome = cls()
        lost: dict[str, Counter[str]] = {split: Counter() for split in SPLITS}
        outcome.reasons = write_rejects(work, chain(outcome._collect(home, planned, lost), before))
        forget(home, outcome.not_final)
        n_planned = {split: sum(shard.n_rows for shard in planned if shard.split == split) for split in SPLITS}
        if not any(outcome.entries.values()):
            reasons = commonest(dict(sum(lost.values(), Counter()).most_common()))
            raise UserError(f"all {sum(n_planned.values())} rows were rejected: {reasons}; see data.table and audio")
        for split in SPLITS:
            if n_planned[split] and not outcome.entries[split]:
                reasons = commonest(dict(lost[split].most_common()))
                raise UserError(f"all {n_planned[split]} rows of the {split} split were rejected: {reasons}")
        return outcome

    def _collect(self, home: str, planned: Sequence[PlannedShard], lost: dict[str, Counter[str]]) -> Iterator[Rejected]:
        """The rejects of all receipts, while their other contents are added up."""
        for shard, receipt in zip(planned, read_receipts(home, planned), strict=True):
            n_rows = receipt.entry.rows if receipt.entry else 0
            if shard.n_rows != n_rows + len(receipt.rejected):
                raise RuntimeError(f"{shard.name}: of {shard.n_rows} rows {n_rows} + {len(receipt.rejected)} came out")
            if receipt.entry:
                self.entries[shard.split].append(receipt.entry)
                tally = self.tallies.setdefault(shard.split, Tally())
                tally += receipt.tally
            if not receipt.is_final:
                self.not_final.append(receipt.name)
            lost[shard.split].update(row.reason for row in receipt.rejected)
            yield from receipt.rejected


@dataclass(frozen=True)
class Look:
    """What the page of the data needs besides the shards: the sections of params.yaml that made them, the manifest's
    folder, where the sounds are found, the suffixes of the ids of copies, which it leaves out, and how many labels of a
    clip are not its text.
    """

    rules: Mapping[str, Any]
    manifest: Path
    suffixes: Sequence[str]
    n_special: int


def publish(outcome: Outcome, index: Index, home: str, work: Path, features: Path, look: Look) -> Survey:
    """Fills `features`. Shards are linked into it where `index.root` says that they lie beside the index.

    Returns what the page of the data shows.
    """
    shutil.rmtree(features, ignore_errors=True)
    for split, entries in index.splits.items():
        (features / split).mkdir(parents=True)
        if index.root == ".":
            for entry in entries:
                _link(Path(home) / entry.name, features / entry.name)
        else:  # what stands in for the shards, so that a stage that depends on a split's folder sees them change
            listed = [asdict(entry) for entry in entries]
            (features / split / SHARDS).write_text(json.dumps(listed, indent=1) + "\n", encoding="utf-8")
    shutil.copyfile(work / REJECTS, features / REJECTS)
    draw(features / OVERVIEW, outcome.tallies, outcome.reasons, _samples(home, index))
    surveyed = survey(read(features, index, look.suffixes), outcome.reasons, look.n_special)
    data_report.write(features, surveyed, outcome.reasons, look.rules, look.manifest)
    write_index(features, index)
    return surveyed


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copy2(source, target)


def _samples(home: str, index: Index) -> list[dict[str, Any]]:
    """A few train rows, of different languages as far as the first rows have them."""
    if not index.rows("train"):
        return []
    rows = read_first(storage.join(home, index.splits["train"][0].name), index.n_mels, index.codec)
    firsts = {row["language"]: row for row in reversed(rows)}
    others = [row for row in rows if row is not firsts[row["language"]]]
    return [*firsts.values(), *others][:MAX_SAMPLES]
