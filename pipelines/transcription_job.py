"""Planned shards of recordings -> Parquet with what was heard in them: a Beam job, one model in each worker process.

Only references are shuffled. A finished shard has a receipt beside it, which is written last, as in `shard_job`.
"""

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.metrics import Metrics
from apache_beam.utils.shared import Shared

from asr import storage
from asr.clips.plan import PlannedShard, read_planned
from asr.clips.tally import Spoken, Tally
from asr.errors import UserError
from asr.features import RATE_HZ
from asr.shards import ShardEntry, sha256_of
from asr.transcription.engines import EngineName, load
from asr.transcription.recordings import Failed, Transcriber
from asr.transcription.transcript import Transcript, remarks
from asr.utterances import Rejected, Utterance
from pipelines.receipts import Receipt
from pipelines.shard_job import ShardFailed

SHORTEST_S = 0.02  # a row of no length is no row to `data.source: table`
COUNTERS = "transcription"  # the namespace of the job's counters
# What `data.source: table` reads, so that the next training can take it as it is; `confidence` is 0 to 1.
SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("id", "audio", "text", "language")]
    + [(name, pa.float64()) for name in ("start_s", "end_s", "confidence")]
)


@dataclass(frozen=True)
class Job:
    """What every worker needs: where things lie (paths or URIs), and what decides the words."""

    plan: str
    home: str  # folder of the shards and receipts
    model: str
    engine: EngineName
    precision: str
    language: str | None
    window_s: int | None
    min_confidence: float


def build(pipeline: beam.Pipeline, job: Job, missing: list[PlannedShard]) -> beam.PCollection:
    """The graph, the same for every runner: the names of the shards that were written."""
    planned = pipeline | "Plan" >> beam.Create(missing, reshuffle=False)
    return planned | "Spread" >> beam.Reshuffle() | "Transcribe" >> beam.ParDo(TranscribeShard(job))


class TranscribeShard(beam.DoFn):
    def __init__(self, job: Job) -> None:
        self.job = job
        self.shared = Shared()
        self.n_recordings = Metrics.counter(COUNTERS, "recordings")
        self.audio_s = Metrics.distribution(COUNTERS, "recording_s")

    def setup(self) -> None:
        self.transcriber = self.shared.acquire(partial(_loaded, self.job))

    def process(self, planned: PlannedShard) -> Iterator[str]:
        try:
            receipt = self.write(planned)
            receipt.write(self.job.home)
        except (UserError, OSError) as error:
            why = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
            raise ShardFailed(f"{storage.join(self.job.home, planned.name)}: {' '.join(why.split())}") from error
        yield planned.name

    def write(self, planned: PlannedShard) -> Receipt:
        recordings = read_planned(self.job.plan, planned.row_group)
        columns: dict[str, list[object]] = {name: [] for name in SCHEMA.names}
        rejected: list[Rejected] = []
        tally = Tally()
        with self.transcriber.lock:
            found = list(self.transcriber.transcripts([recording.audio for recording in recordings]))
        for recording, (_, outcome) in zip(recordings, found, strict=True):
            self.n_recordings.inc()
            if isinstance(outcome, Failed):
                rejected.append(Rejected(recording.id, outcome.reason, outcome.detail))
                continue
            self.audio_s.update(round(outcome.duration_s))
            rows = list(rows_of(recording, outcome, self.job.min_confidence))
            for remark in remarks(outcome):
                reason = "no speech" if not rows else "ends early"
                rejected.append(Rejected(recording.id, reason, remark))
            for row in rows:
                if isinstance(row, Rejected):
                    rejected.append(row)
                else:
                    for name, value in row.items():
                        columns[name].append(value)
            language = outcome.language or ""
            spoken = tally.languages.setdefault(language, Spoken())
            spoken.rows += sum(not isinstance(row, Rejected) for row in rows)
            spoken.samples += round(outcome.duration_s * RATE_HZ)
        return Receipt(planned.name, _written(self.job.home, planned.name, columns), tally, rejected)


def rows_of(recording: Utterance, heard: Transcript, min_confidence: float) -> Iterator[dict[str, object] | Rejected]:
    """A row of `SCHEMA` for each segment."""
    for number, segment in enumerate(heard.segments):
        name = f"{recording.id}#{number:05d}"
        if segment.confidence < min_confidence:
            detail = f"{segment.confidence:.3f} is under {min_confidence:g}: {segment.text[:80]!r}"
            yield Rejected(name, "low confidence", detail)
            continue
        yield {
            "id": name,
            "audio": recording.audio,
            "text": segment.text,
            "language": heard.language,
            "start_s": round(segment.start_s, 3),
            "end_s": round(max(segment.end_s, segment.start_s + SHORTEST_S), 3),
            "confidence": round(segment.confidence, 4),
        }


def _written(home: str, name: str, columns: dict[str, list[object]]) -> ShardEntry | None:
    """The shard in its place; none where it would have no row."""
    if not columns["id"]:
        return None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "shard"
        pq.write_table(pa.table(columns, SCHEMA), path, compression="zstd")
        entry = ShardEntry(name, len(columns["id"]), 0, path.stat().st_size, sha256_of(path))
        storage.put(path, storage.join(home, name))
    return entry


def _loaded(job: Job) -> Transcriber:
    """One for all threads of a process. The checkpoint of an object store is fetched first."""
    folder = Path(job.model)
    if storage.is_remote(job.model):
        folder = Path(tempfile.mkdtemp(prefix="checkpoint-"))
        for name in storage.below(job.model):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(storage.read_bytes(storage.join(job.model, name)))
    return Transcriber(load(folder, job.engine, job.precision, job.window_s), job.language)
