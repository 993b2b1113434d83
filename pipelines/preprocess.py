"""Manifest -> features: plans the shards, has Beam write them, and lists them in an index once all are there.

Shards are made in a home that is named by what determines them: a folder outside DVC's outs, which DVC empties before a
stage runs, or a prefix below FEATURES_ROOT (`gs://`, `s3://`, another disk). So a job that was killed goes on where it
was, and other features are never written over. Success links the folder's shards into the features and removes it; what
lies below FEATURES_ROOT stays there, and the index says where.
"""

import hashlib
import json
import os
import re
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from asr import storage
from asr.clips import text
from asr.clips.plan import PlannedShard, copies_of, write_plan
from asr.clips.tally import summary_lines, total
from asr.clips.tokens import FRONT_END, TOKENIZER, Labeller
from asr.corpora import manifest
from asr.corpora.rejects import REJECTS, read_rejects
from asr.errors import UserError
from asr.pages import data_report
from asr.params import Params
from asr.progress import say
from asr.secrets import without_secrets
from asr.shards import FEATURES_VERSION, Index, sha256_of
from asr.utterances import Seconds
from pipelines.options import check_reach, runner_options
from pipelines.outcome import Look, Outcome, publish
from pipelines.progress import reported
from pipelines.receipts import finished
from pipelines.running import run
from pipelines.shard_job import Job, build

PLAN = "plan.parquet"
SECTIONS = ("audio", "text", "features")  # of params.yaml, which decide the bytes of shards
WRITABLE = ("gs://", "s3://")  # stores that shards can go to


@dataclass(frozen=True)
class Corpus:
    """What prepare left: the folder of the manifest, and the listing of the audio that lies elsewhere."""

    manifest: Path
    listing: Path


def preprocess(corpus: Corpus, base: Path, features: Path, work: Path, params: Params) -> None:
    """Fills `features` with shards, rejects, a picture and the index. Raises `UserError` if a split has no row left."""
    started = time.monotonic()
    labeller = Labeller(base)
    languages = manifest.languages(corpus.manifest)
    for language in languages:
        n_special = len(labeller.prefix(language)) + 1  # raises for one that the checkpoint does not know
    text.check(params.text, languages)
    root = _features_root(features, work)
    check_reach(root or str(work), *manifest.count_local(corpus.manifest))
    fingerprint = fingerprint_of(corpus.manifest, base, params)
    home = storage.join(root or work, f"{fingerprint}-{sha256_of(corpus.listing)[:8]}")
    work.mkdir(parents=True, exist_ok=True)
    planned = write_plan(work / PLAN, corpus.manifest, params.features.shard_mb, copies_of(params.audio))
    with reported(home, planned):
        _run(_job(home, base, work, params), planned)

    outcome = Outcome.of(home, planned, read_rejects(corpus.manifest), work)
    index = Index(
        fingerprint=fingerprint,
        n_mels=labeller.front_end.n_mels,
        codec=params.features.codec,
        splits=outcome.entries,
        root=home if root else ".",
        rejected=sum(outcome.reasons.values()),
        tokenizer=sha256_of(base / TOKENIZER),
    )
    rules = {name: getattr(params, name).model_dump() for name in SECTIONS}
    suffixes = [copy.suffix for copy in copies_of(params.audio) if copy.suffix]
    surveyed = publish(outcome, index, home, work, features, Look(rules, corpus.manifest, suffixes, n_special))
    _clear(work, None if root else Path(home))
    _say_summary(outcome, time.monotonic() - started)
    for line in data_report.lines(surveyed):
        say(line)
    say(f"a look at the data: {features / data_report.PAGE}")


def fingerprint_of(manifest_folder: Path, base: Path, params: Params) -> str:
    """Names the features: equal where the same rows, rules and tokenizer give the same bytes."""
    content = {
        "features_version": FEATURES_VERSION,
        "params": {name: getattr(params, name).model_dump() for name in SECTIONS},
        "manifest": sha256_of(manifest_folder / manifest.MANIFEST),
        "tokenizer": sha256_of(base / TOKENIZER),
        "front_end": sha256_of(base / FRONT_END),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _features_root(features: Path, work: Path) -> str | None:
    """FEATURES_ROOT, if it is set. Raises `UserError` for what is no place, or none that stays."""
    root = os.environ.get("FEATURES_ROOT")
    if not root:
        return None
    if without_secrets(root) != root:
        raise UserError("FEATURES_ROOT holds a password or token, and the index keeps it; take it out of the address")
    if re.match(r"[A-Za-z][\w+.-]*:", root) and not root.startswith(WRITABLE):
        raise UserError(f"FEATURES_ROOT is {root!r}; it must be gs://BUCKET/PREFIX, s3://BUCKET/PREFIX or a folder")
    if not storage.is_remote(root):
        for emptied in (features, work):
            if Path(root).resolve().is_relative_to(emptied.resolve()):
                raise UserError(f"FEATURES_ROOT is {root!r}, which is emptied at each run; choose another folder")
    return root


def _job(home: str, base: Path, work: Path, params: Params) -> Job:
    """With paths of this machine; where the shards go elsewhere, what the workers read is put beside them."""
    plan, front_end = str(work / PLAN), str(base)
    if Path(home).parent != work:
        plan, front_end = storage.join(home, PLAN), storage.join(home, "base")
        copy = work / f"{PLAN}.part"
        shutil.copyfile(work / PLAN, copy)
        storage.put(copy, plan)
        for name in (TOKENIZER, FRONT_END):
            storage.put_bytes((base / name).read_bytes(), storage.join(front_end, name))
    if not storage.is_remote(home):
        for part in Path(home).rglob("*.part"):  # of workers that were killed
            part.unlink()
    return Job(plan, home, front_end, params.audio, params.text, params.features)


def _run(job: Job, planned: list[PlannedShard]) -> None:
    """Writes the shards that have no receipt yet, wherever the environment says."""
    done = {receipt.name for receipt in finished(job.home, planned)}
    missing = [shard for shard in planned if shard.name not in done]
    if not missing:
        return
    source_mb = sum(shard.source_bytes for shard in missing) / 1e6
    run(runner_options(len(missing), source_mb, job.home), lambda pipeline: build(pipeline, job, missing))


def _clear(work: Path, home: Path | None) -> None:
    """Removes what this run left in `work`; what other choices left there is theirs to go on with."""
    for path in (work / PLAN, work / REJECTS):
        path.unlink(missing_ok=True)
    if home:
        shutil.rmtree(home)
    with suppress(OSError):  # it is not empty, or a mount
        work.rmdir()


def _say_summary(outcome: Outcome, wall_s: Seconds) -> None:
    for line in summary_lines(outcome.tallies, outcome.reasons):
        say(line)
    size_bytes = sum(entry.bytes for entries in outcome.entries.values() for entry in entries)
    hours = total(outcome.tallies.values()).hours
    audio_s = hours * 3600
    say(
        f"{hours:.2f} h of speech in {wall_s:.0f} s ({audio_s / wall_s:,.0f}x real time), "
        f"{size_bytes / 1e6:,.1f} MB ({size_bytes / audio_s / 1e3:.1f} kB a second)"
    )
