"""Manifest -> features: an Apache Beam job in which one element is one shard to be written.

Only references are shuffled, never audio. A finished shard has a receipt beside it, a small JSON that is written last;
a job that was killed goes on with the shards that have none.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import apache_beam as beam
from apache_beam.metrics import Metrics

from asr.examples import examples
from asr.params import Audio, Features, Text
from asr.plan import PlannedShard, read_planned
from asr.shards import ShardEntry, ShardWriter
from asr.tokens import Labeller
from asr.utterances import Rejected, Seconds
from pipelines.options import runner_options


@dataclass(frozen=True)
class Job:
    """What every worker needs: where things lie, and the rules."""

    plan: Path  # Parquet, a row group a shard
    work: Path  # directory of the shards and receipts
    base: Path  # directory of tokenizer.json and front_end.json
    audio: Audio
    text: Text
    features: Features


@dataclass(frozen=True)
class Receipt:
    """What became of a planned shard: `entry` is None where no row of it could be used."""

    entry: ShardEntry | None
    rejected: list[Rejected]
    audio_s: Seconds

    def write(self, path: Path) -> None:
        part = path.with_suffix(f".{os.getpid()}.part")
        part.write_text(json.dumps(asdict(self)), encoding="utf-8")
        os.replace(part, path)

    @classmethod
    def read(cls, path: Path) -> "Receipt":
        content = json.loads(path.read_text(encoding="utf-8"))
        entry = ShardEntry(**content["entry"]) if content["entry"] else None
        return cls(entry, [Rejected(**row) for row in content["rejected"]], content["audio_s"])


def receipt_path(work: Path, name: str) -> Path:
    return work / f"{name}.json"


def write_shards(job: Job, planned: list[PlannedShard], source_mb: float) -> None:
    """Writes the shards that have no receipt yet, wherever the environment says."""
    missing = [shard for shard in planned if not receipt_path(job.work, shard.name).exists()]
    if missing:
        with beam.Pipeline(options=runner_options(len(missing), source_mb)) as pipeline:
            _ = pipeline | "Plan" >> beam.Create(missing) | "Write shards" >> WriteShards(job)


class WriteShards(beam.PTransform):
    """Planned shards -> names of the shards that now lie, with their receipts, in `job.work`."""

    def __init__(self, job: Job) -> None:
        super().__init__()
        self.job = job

    def expand(self, planned: beam.PCollection) -> beam.PCollection:
        return planned | "Spread" >> beam.Reshuffle() | "Write" >> beam.ParDo(WriteShard(self.job))


class WriteShard(beam.DoFn):
    def __init__(self, job: Job) -> None:
        self.job = job

    def setup(self) -> None:
        self.labeller = Labeller(self.job.base)

    def process(self, planned: PlannedShard) -> Iterator[str]:
        self.write(planned).write(receipt_path(self.job.work, planned.name))
        yield planned.name

    def write(self, planned: PlannedShard) -> Receipt:
        job, audio_s = self.job, 0.0
        rejected: list[Rejected] = []
        utterances = read_planned(job.plan, planned.row_group)
        with ShardWriter(job.work, planned.name, self.labeller.front_end.n_mels, job.features.codec) as shard:
            for row in examples(utterances, job.audio, job.text, self.labeller):
                if isinstance(row, Rejected):
                    rejected.append(row)
                    Metrics.counter("rejected", row.reason).inc()
                else:
                    shard.write(row)
                    audio_s += row["duration_s"]
                    Metrics.counter("features", "rows").inc()
        assert shard.entry is not None
        if shard.entry.rows == 0:
            (job.work / planned.name).unlink()
        return Receipt(shard.entry if shard.entry.rows else None, rejected, audio_s)
