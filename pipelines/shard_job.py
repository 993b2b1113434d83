"""Planned shards -> log-Mel and labels in Parquet: an Apache Beam job in which one element is one shard to be written.

Only references are shuffled, never audio. A finished shard has a receipt beside it, which is written last.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass

import apache_beam as beam
from apache_beam.metrics import Metrics

from asr.clips.examples import examples
from asr.clips.plan import PlannedShard, read_planned
from asr.clips.tally import Tally
from asr.clips.tokens import Labeller
from asr.errors import UserError
from asr.params import Audio, Features, Text
from asr.shards import FEATURES_VERSION, ShardWriter
from asr.storage import join
from asr.utterances import Rejected
from pipelines.receipts import Receipt

COUNTERS = "features"  # the namespace of the job's counters


class ShardFailed(Exception):
    """A shard that could not be written, in a line that reaches the launcher whatever the runner wraps it in."""


@dataclass(frozen=True)
class Job:
    """What every worker needs: where things lie (paths or URIs), and the rules."""

    plan: str  # Parquet, a row group a shard
    home: str  # folder of the shards and receipts
    base: str  # folder of tokenizer.json and front_end.json
    audio: Audio
    text: Text
    features: Features
    features_version: int = FEATURES_VERSION  # of the launcher's code, which that of the workers must equal


def build(pipeline: beam.Pipeline, job: Job, missing: list[PlannedShard]) -> beam.PCollection:
    """The graph, the same for every runner: the names of the shards that were written."""
    return pipeline | "Plan" >> beam.Create(missing, reshuffle=False) | "Write shards" >> WriteShards(job)


class WriteShards(beam.PTransform):
    """Planned shards -> names of the shards that now lie, with their receipts, in `job.home`."""

    def __init__(self, job: Job) -> None:
        super().__init__()
        self.job = job

    def expand(self, planned: beam.PCollection) -> beam.PCollection:
        return planned | "Spread" >> beam.Reshuffle() | "Write" >> beam.ParDo(WriteShard(self.job))


class WriteShard(beam.DoFn):
    def __init__(self, job: Job) -> None:
        self.job = job
        self.n_rows = Metrics.counter(COUNTERS, "rows")
        self.n_shards = Metrics.counter(COUNTERS, "shards")
        self.clip_ms = Metrics.distribution(COUNTERS, "clip_ms")
        self.shard_bytes = Metrics.distribution(COUNTERS, "shard_bytes")

    def setup(self) -> None:
        self.labeller = Labeller(self.job.base)

    def process(self, planned: PlannedShard) -> Iterator[str]:
        if self.job.features_version != FEATURES_VERSION:
            raise ShardFailed(
                f"this worker's code makes features of version {FEATURES_VERSION}, and the launcher wants "
                f"{self.job.features_version}: build the worker image anew (make image), or update the pool's project"
            )
        try:
            receipt = self.write(planned)
            receipt.write(self.job.home)
        except (UserError, OSError) as error:
            why = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
            raise ShardFailed(f"{join(self.job.home, planned.name)}: {' '.join(why.split())}") from error
        self._count(receipt)
        yield planned.name

    def write(self, planned: PlannedShard) -> Receipt:
        job, tally = self.job, Tally()
        rejected: list[Rejected] = []
        utterances = read_planned(job.plan, planned.row_group)
        with ShardWriter(job.home, planned.name, self.labeller.front_end.n_mels, job.features.codec) as shard:
            for row in examples(utterances, job.audio, job.text, self.labeller):
                if isinstance(row, Rejected):
                    rejected.append(row)
                else:
                    shard.write(row)
                    tally.add(row)
                    self.clip_ms.update(round(1000 * row["duration_s"]))
        return Receipt(planned.name, shard.entry, tally, rejected)

    def _count(self, receipt: Receipt) -> None:
        self.n_shards.inc()
        if receipt.entry:
            self.n_rows.inc(receipt.entry.rows)
            self.shard_bytes.update(receipt.entry.bytes)
        for row in receipt.rejected:
            Metrics.counter("rejected", row.reason).inc()
