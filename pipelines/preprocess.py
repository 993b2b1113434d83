"""Manifest -> features: plans the shards, has Beam write them, and lists them in an index once all are there.

Shards are made in a work folder named by what determines them, outside DVC's outs, which DVC empties before a stage
runs: so a job that was killed goes on where it was. Success links them into the features and removes the work.
"""

import hashlib
import json
import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from asr import manifest
from asr.errors import UserError
from asr.params import Params
from asr.plan import PlannedShard, shards_of, write_plan
from asr.progress import say
from asr.rejects import commonest, read_rejects, write_rejects
from asr.shards import FEATURES_VERSION, Index, ShardEntry, sha256_of, write_index
from asr.tokens import Labeller
from asr.utterances import SPLITS, Rejected, Seconds, Utterance
from pipelines.shard_job import Job, Receipt, receipt_path, write_shards

PROGRESS_EVERY_S = 5


@dataclass(frozen=True)
class Corpus:
    """What prepare left: the folder of the manifest, and the listing of the audio that lies elsewhere."""

    manifest: Path
    listing: Path


def preprocess(corpus: Corpus, base: Path, features: Path, work: Path, params: Params) -> None:
    """Writes shards, index and rejects to `features`. Raises `UserError` where a split ends up without a row."""
    started = time.monotonic()
    utterances = list(manifest.read(corpus.manifest))
    labeller = Labeller(base)
    for language in sorted({utterance.language for utterance in utterances}):
        labeller.prefix(language)  # raises for one that the checkpoint does not know
    fingerprint = fingerprint_of(corpus.manifest, base, params)
    folder = work / hashlib.sha256((fingerprint + corpus.listing.read_text()).encode()).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)

    planned = write_plan(folder / "plan.parquet", shards_of(utterances, params.features.shard_mb))
    job = Job(folder / "plan.parquet", folder, base, params.audio, params.text, params.features)
    source_mb = sum(utterance.source_bytes for utterance in utterances) / 1e6
    with _progress(job, planned):
        write_shards(job, planned, source_mb)

    receipts = [Receipt.read(receipt_path(folder, shard.name)) for shard in planned]
    rejected = [row for receipt in receipts for row in receipt.rejected]
    _check(utterances, receipts, rejected)
    rejected += read_rejects(corpus.manifest)
    index = Index(
        fingerprint, labeller.front_end.n_mels, params.features.codec, _by_split(receipts), rejected=len(rejected)
    )
    _publish(folder, features, index, rejected)
    shutil.rmtree(work)
    _say_summary(index, rejected, sum(r.audio_s for r in receipts), time.monotonic() - started)


def fingerprint_of(manifest_folder: Path, base: Path, params: Params) -> str:
    """Names the features: equal where the same rows, rules and tokenizer give the same bytes."""
    content = {
        "features_version": FEATURES_VERSION,
        "params": {name: getattr(params, name).model_dump() for name in ("audio", "text", "features")},
        "manifest": sha256_of(manifest_folder / manifest.MANIFEST),
        "tokenizer": sha256_of(base / "tokenizer.json"),
        "front_end": sha256_of(base / "front_end.json"),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _by_split(receipts: list[Receipt]) -> dict[str, list[ShardEntry]]:
    splits: dict[str, list[ShardEntry]] = {split: [] for split in SPLITS}
    for receipt in receipts:
        if receipt.entry:
            splits[receipt.entry.name.split("/")[0]].append(receipt.entry)
    return splits


def _check(utterances: list[Utterance], receipts: list[Receipt], rejected: list[Rejected]) -> None:
    """Every planned row is in a shard or among the rejects, and each split that had rows still has some."""
    rows = sum(receipt.entry.rows for receipt in receipts if receipt.entry)
    if len(utterances) != rows + len(rejected):
        raise RuntimeError(f"{len(utterances)} rows were planned, but {rows} + {len(rejected)} rejected came out")
    if not rows:
        raise UserError(f"all {len(utterances)} rows were rejected: {commonest(rejected)}; see data.table and audio")
    for split, entries in _by_split(receipts).items():
        ids = {utterance.id for utterance in utterances if utterance.split == split}
        if ids and not entries:
            reasons = commonest([row for row in rejected if row.id in ids])
            raise UserError(f"all {len(ids)} rows of the {split} split were rejected: {reasons}")


def _publish(folder: Path, features: Path, index: Index, rejected: list[Rejected]) -> None:
    """Links the shards into `features`; the index comes last, and its presence is success."""
    if features.exists():
        shutil.rmtree(features)
    for entries in index.splits.values():
        for entry in entries:
            target = features / entry.name
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(folder / entry.name, target)
            except OSError:  # another file system, or one without links
                shutil.copy2(folder / entry.name, target)
    write_rejects(features, rejected)
    write_index(features, index)


def _say_summary(index: Index, rejected: list[Rejected], audio_s: Seconds, wall_s: Seconds) -> None:
    size_bytes = sum(entry.bytes for entries in index.splits.values() for entry in entries)
    rows = {split: index.rows(split) for split in index.splits}
    say(f"features: {', '.join(f'{count:,} {split}' for split, count in rows.items())} utterances")
    say(
        f"{audio_s / 3600:.2f} h of speech in {wall_s:.0f} s ({audio_s / wall_s:,.0f}x real time), "
        f"{size_bytes / 1e6:,.1f} MB ({size_bytes / audio_s / 1e3:.1f} kB a second)"
    )
    if rejected:
        say(f"rejected: {commonest(rejected)}; each with its reason in rejects.parquet")


@contextmanager
def _progress(job: Job, planned: list[PlannedShard]) -> Iterator[None]:
    """A line every few seconds while the job runs: shards, hours, speed, time left."""
    done = threading.Event()

    def watch() -> None:
        started, before = time.monotonic(), _finished(job, planned)
        if before:
            say(f"{len(before)} of {len(planned)} shards are there from an earlier run")
        while not done.wait(PROGRESS_EVERY_S):
            new = {name: audio_s for name, audio_s in _finished(job, planned).items() if name not in before}
            wall_s, n_done = time.monotonic() - started, len(before) + len(new)
            line = f"{n_done} of {len(planned)} shards after {wall_s:.0f} s"
            if new:
                left_s = wall_s / len(new) * (len(planned) - n_done)
                line += f", {sum(new.values()) / wall_s:,.0f}x real time, about {left_s:.0f} s left"
            say(line)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _finished(job: Job, planned: list[PlannedShard]) -> dict[str, Seconds]:
    """Shards with a receipt -> their seconds of speech."""
    paths = {shard.name: receipt_path(job.work, shard.name) for shard in planned}
    return {name: Receipt.read(path).audio_s for name, path in paths.items() if path.exists()}
