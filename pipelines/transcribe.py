"""Many recordings -> a table of what is said in them, by a fine-tuned checkpoint, as a Beam job on any runner.

  python -m pipelines.transcribe recordings/ data/pseudo --model data/model --language sw
  python -m pipelines.transcribe gs://bucket/calls gs://bucket/pseudo --model gs://bucket/model

The first is a folder, a prefix of an object store, or a table with a column `audio` (CSV, TSV, JSONL or Parquet); the
second gets `transcripts.parquet`, a row a stretch of speech (id, audio, text, language, start_s, end_s, confidence),
which `data.source: table` reads; `rejects.parquet`, every recording without a row and why; and `index.json`, last.
What is killed goes on where it was. Runner and workers as for preprocess: BEAM_RUNNER, BEAM_WORKERS, BEAM_OPTIONS.
"""

import argparse
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from asr import params, storage
from asr.clips.plan import PlannedShard, write_plan
from asr.corpora import manifest
from asr.corpora.rejects import REJECTS, commonest, write_rejects
from asr.errors import UserError, ending_in_a_line
from asr.progress import say
from asr.shards import sha256_of
from asr.sources import table
from asr.sources.rows import read_rows
from asr.transcription.engines import check_family, check_settings
from asr.transcription.identity import identity
from asr.transcription.outputs import find
from asr.utterances import Rejected, Utterance
from pipelines.options import check_reach, runner_options
from pipelines.progress import reported
from pipelines.receipts import finished, forget, read_receipts
from pipelines.running import run

if TYPE_CHECKING:
    from pipelines.transcription_job import Job

TRANSCRIPTS, INDEX, PLAN = "transcripts.parquet", "index.json", "plan.parquet"
TABLES = (".csv", ".tsv", ".jsonl", ".parquet")
VERSION = 1  # of what the job makes of the same recordings and checkpoint
SHARD_MB = 32


def transcribe(recordings: str, out: str, options: argparse.Namespace) -> None:
    """Fills `out`. Raises `UserError` where nothing could be heard in any recording."""
    started_s = time.monotonic()
    check_settings(options.engine, options.precision, options.window_s)
    if not 0 <= options.min_confidence <= 1:
        raise UserError(f"--min-confidence is {options.min_confidence:g}; it must be 0 to 1")
    if not storage.is_remote(options.model):
        check_family(Path(options.model), options.engine)
    with tempfile.TemporaryDirectory(prefix="transcribe-") as name:
        work = Path(name)
        rows = list(_recordings(recordings, options.audio_root))
        heard = [row for row in rows if isinstance(row, Utterance)]
        if not heard:
            raise UserError(f"{recordings}: no recording can be read: {_reasons(rows)}")
        manifest.write(heard, work)
        check_reach(out, *manifest.count_local(work))
        stored = [
            found for found in storage.stored(row.audio for row in heard).values() if isinstance(found, storage.Stored)
        ]
        fingerprint = _fingerprint(work, stored, options)
        if _is_done(out, fingerprint):
            say(f"{out} is done already, of these recordings by this checkpoint")
            return
        home = storage.join(out, f"parts-{fingerprint}")
        planned = write_plan(work / PLAN, work, options.shard_mb)
        job = _job(home, work / PLAN, options)
        with reported(home, planned):
            _run(job, planned)
        rejected = [row for row in rows if isinstance(row, Rejected)]
        _publish(home, planned, rejected, out, fingerprint, work)
    say(f"{time.monotonic() - started_s:.0f} s; {storage.join(out, TRANSCRIPTS)}")


def _recordings(place: str, audio_root: str | None) -> Iterator[Utterance | Rejected]:
    """Each once, as a row of a manifest without a text."""
    names: dict[str, str] = {}  # by audio
    if place.endswith(TABLES):
        # A table for training has a text, which is not looked at; here nothing but `audio` is.
        chosen = params.Table(path=place, audio_root=audio_root, columns={"text": "audio"})
        folder = table.AudioFolder.of(chosen)
        for number, row in enumerate(read_rows(chosen), 1):
            if isinstance(row, Rejected):
                yield row
                continue
            try:
                audio = folder.locate(row["audio"] or "")
            except table.Unusable as unusable:
                yield Rejected(f"row {number}", *unusable.args)
            else:
                names.setdefault(audio, audio)
    else:
        names = {entry.audio: entry.name for entry in find([place])}
    for audio, found in storage.stored(names).items():
        if isinstance(found, storage.Absent):
            yield Rejected(names[audio], "missing audio", f"{audio}: {found.why}")
        else:
            yield _row(names[audio], audio, found.size_bytes)


def _row(name: str, audio: str, size_bytes: int) -> Utterance:
    place = audio if storage.is_remote(audio) else os.path.abspath(audio)
    return Utterance(name, place, "", "", "train", source_bytes=size_bytes)


def _reasons(rows: list[Utterance | Rejected]) -> str:
    reasons: dict[str, int] = {}
    for row in rows:
        if isinstance(row, Rejected):
            reasons[row.reason] = reasons.get(row.reason, 0) + 1
    return commonest(reasons)


def _fingerprint(manifest_folder: Path, recordings: Sequence[storage.Stored], options: argparse.Namespace) -> str:
    """Equal where the same recordings are heard the same way."""
    content = {
        "version": VERSION,
        "manifest": sha256_of(manifest_folder / manifest.MANIFEST),
        "recordings": [f"{found.size_bytes}-{found.version}" for found in recordings],
        "model": identity(options.model),
        "settings": [options.engine, options.precision, options.language, options.window_s, options.min_confidence],
        "shard_mb": options.shard_mb,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _is_done(out: str, fingerprint: str) -> bool:
    try:
        return bool(json.loads(storage.read_bytes(storage.join(out, INDEX)))["fingerprint"] == fingerprint)
    except (OSError, ValueError, KeyError):
        return False


def _job(home: str, plan: Path, options: argparse.Namespace) -> "Job":
    """With the plan beside the shards, where every worker can read it."""
    from pipelines.transcription_job import Job  # with torch

    storage.put_bytes(plan.read_bytes(), storage.join(home, PLAN))
    model = options.model if storage.is_remote(options.model) else str(Path(options.model).resolve())
    return Job(
        storage.join(home, PLAN),
        home,
        model,
        options.engine,
        options.precision,
        options.language,
        options.window_s,
        options.min_confidence,
    )


def _run(job: "Job", planned: list[PlannedShard]) -> None:
    """Transcribes the shards that have no receipt yet, wherever the environment says."""
    from pipelines.transcription_job import build

    done = {receipt.name for receipt in finished(job.home, planned)}
    missing = [shard for shard in planned if shard.name not in done]
    if not missing:
        return
    # One process here, with all cores, is best unless it is asked for more.
    run(runner_options(len(missing), 0, job.home), lambda pipeline: build(pipeline, job, missing))


def _publish(
    home: str, planned: list[PlannedShard], before: list[Rejected], out: str, fingerprint: str, work: Path
) -> None:
    """The shards as one table, in their order; then the rejects, and the index last."""
    from pipelines.transcription_job import SCHEMA

    rejected, n_rows, audio_s, not_final = list(before), 0, 0.0, []
    with pq.ParquetWriter(work / TRANSCRIPTS, SCHEMA, compression="zstd") as writer:
        for receipt in read_receipts(home, planned):
            rejected += receipt.rejected
            audio_s += receipt.tally.hours * 3600
            if not receipt.is_final:
                not_final.append(receipt.name)
            if receipt.entry:
                with storage.open_read(storage.join(home, receipt.entry.name)) as file:
                    rows = pq.read_table(file)
                writer.write_table(rows)
                n_rows += len(rows)
    reasons = write_rejects(work, rejected)
    if not n_rows:
        forget(home, not_final)
        raise UserError(f"nothing was heard in any recording: {commonest(reasons)}")
    index = {"fingerprint": fingerprint, "rows": n_rows, "hours": round(audio_s / 3600, 4), "rejected": reasons}
    storage.put(work / TRANSCRIPTS, storage.join(out, TRANSCRIPTS))
    storage.put(work / REJECTS, storage.join(out, REJECTS))
    storage.put_bytes((json.dumps(index, indent=1) + "\n").encode(), storage.join(out, INDEX))
    _remove(home)
    say(f"{n_rows:,} stretches of speech in {audio_s / 3600:.2f} h" + (f"; {commonest(reasons)}" if reasons else ""))


def _remove(home: str) -> None:
    if storage.is_remote(home):
        for name in storage.below(home):
            storage.remove(storage.join(home, name))
    else:
        shutil.rmtree(home)


def _options() -> argparse.Namespace:
    description, *_ = (__doc__ or "").partition("\n\nThe first")
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.transcribe",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("recordings", help="folder, gs:// or s3:// prefix, or a table with a column audio")
    parser.add_argument("out", help="folder or prefix of the transcripts")
    parser.add_argument("--model", default="data/model", help="a checkpoint, here or in an object store")
    parser.add_argument("--language", help="its code; default: the checkpoint's own, else detected in each recording")
    parser.add_argument("--engine", choices=("torch", "ctranslate2"), default="torch")
    parser.add_argument("--precision", choices=("auto", "bf16", "float32", "int8"), default="auto")
    parser.add_argument("--window-s", type=int, help="seconds heard at once; default as trained")
    parser.add_argument("--min-confidence", type=float, default=0.0, help="0 to 1; what is under it is rejected")
    parser.add_argument("--audio-root", help="directory of a table's audio; default: relative to the table")
    parser.add_argument("--shard-mb", type=float, default=SHARD_MB, help="megabytes of audio that are done at once")
    return parser.parse_args()


def main() -> None:
    options = _options()
    # Before torch is loaded: the processes of this machine share its cores.
    with suppress(ValueError):
        n_workers = int(os.environ.get("BEAM_WORKERS") or 1)
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, len(os.sched_getaffinity(0)) // max(1, n_workers))))
    with ending_in_a_line("finished shards are kept"):
        transcribe(options.recordings, options.out, options)


if __name__ == "__main__":
    main()
