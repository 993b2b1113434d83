"""Corpora of any mix of good and bad rows: each row is in the shards or among the rejects, with a reason of ours."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from asr import params
from asr.clips.plan import write_plan
from asr.clips.tokens import Labeller
from asr.corpora import corpus as corpora
from asr.corpora.rejects import read_rejects
from asr.errors import UserError
from asr.features import RATE_HZ
from asr.sources import mixture
from asr.utterances import Rejected
from pipelines.shard_job import Job, WriteShard
from tests.builders import speech_like
from tests.faults.table import Seen, note
from tests.faults.tables import SUFFIXES, write_table

N_MOST = 10_000
SPLITS = ("train", "train", "validation", "test")
REASONS = {
    *("missing audio", "empty audio", "undecodable audio", "cut short", "silent", "too short", "too long"),
    *("empty text", "too long text", "undecodable text", "undecodable id", "undecodable speaker"),
    *("empty id", "duplicate id", "bad times", "unknown language", "unknown split", "unknown scheme"),
}
GOOD = tuple(f"good-{n}.wav" for n in range(4))
BAD = (
    *("silent.wav", "short.wav", "long.flac", "cut.wav", "cut.flac", "cut.mp3", "noise.ogg", "text.wav", "empty.wav"),
    *("absent.wav", "folder.wav", "pipe.wav", "loop.wav", "\0.wav", "\ud800.wav", "a" * 300, "../good-0.wav", ""),
    *("/dev/zero", "/etc/passwd", "~/good-0.wav", "http://localhost/good-0.wav", "file:///etc/passwd", "|true"),
)
PLACES = {
    "pipe.wav": "a pipe",
    "folder.wav": "a folder",
    "loop.wav": "a link to itself",
    "/dev/zero": "a device that never ends",
    "text.wav": "a text",
    "empty.wav": "an empty file",
}
HOSTILE = (
    *("../../escape", "/tmp/escape", "<script>alert(1)</script>", "=1+1", "a\nb", "a\0b", "\u202egnp", "\ud800"),
    *(" ", "x" * 5000, "good-0.wav", "row 1", "CON", "~0.9", "%s%n", "{}", "'; --"),
)
odd = st.sampled_from(HOSTILE) | st.text(max_size=20)
rows = st.fixed_dictionaries(
    {
        "audio": st.sampled_from(GOOD) | st.sampled_from(BAD),
        "text": st.sampled_from(("Un texto.", "Otro.", "", " \t", "\ufffd", "a" * 100_000, "\u0301" * 50)) | odd,
    },
    optional={
        "id": st.integers(0, 10**6).map(str) | st.sampled_from("abc") | odd,
        "language": st.sampled_from(("es", "en", "", "Spanish", "xx", "tlh", "ES", "es-MX")),
        "speaker": st.sampled_from(("", "one", "two")) | odd,
        "split": st.sampled_from(("", "train", "dev", "test", "TRAIN", "holdout")),
        "start_s": st.sampled_from(("", "0", "0.1", "-1", "nan", "inf", "1e400", "9e99", "0,1", "one", "4")),
        "end_s": st.sampled_from(("", "0.3", "0", "nan", "inf", "-inf", "1e400", "3e7", "4e7", "1:02", "5")),
    },
)


@pytest.fixture(scope="module")
def audio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of recordings that are good, and of all that may lie in the place of one."""
    folder = tmp_path_factory.mktemp("audio")
    write_audio(folder)
    return folder


def write_audio(folder: Path) -> None:
    for n, name in enumerate(GOOD):
        soundfile.write(folder / name, speech_like(0.4, seed=n), RATE_HZ)
    soundfile.write(folder / "silent.wav", np.zeros(RATE_HZ), RATE_HZ)
    soundfile.write(folder / "short.wav", speech_like(0.01), RATE_HZ)
    soundfile.write(folder / "long.flac", speech_like(31.0), RATE_HZ)
    for suffix in ("wav", "flac", "mp3"):
        path = folder / f"cut.{suffix}"
        soundfile.write(path, speech_like(1.0), RATE_HZ)
        os.truncate(path, path.stat().st_size // 2)
    (folder / "noise.ogg").write_bytes(b"OggS" + Random(1).randbytes(4000))
    (folder / "text.wav").write_text("No sound at all. " * 100)
    (folder / "empty.wav").touch()
    (folder / "folder.wav").mkdir()
    os.mkfifo(folder / "pipe.wav")
    (folder / "loop.wav").symlink_to("loop.wav")


@dataclass(frozen=True)
class Made:
    """What became of a corpus: the ids in its shards, and the rows that are rejected."""

    ids: list[str]
    rejected: list[Rejected]

    @property
    def reasons(self) -> Counter[str]:
        return Counter(row.reason for row in self.rejected)


@pytest.fixture(scope="module")
def labeller(scratch: Path) -> Labeller:
    return Labeller(scratch)


def made(table: Path, labeller: Labeller, work: Path) -> Made:
    """As prepare and the job's elements make it, without a runner between them."""
    chosen = params.check({"data": {"source": "table", "language": "es", "table": {"path": str(table)}}})
    manifest = work / "manifest"
    try:
        corpora.write(mixture.utterances(chosen.data, work / "corpus"), manifest, chosen.data, splits=())
    except UserError as error:
        if not str(error).startswith(("the corpus is empty", "all ")):
            raise
        return Made([], read_rejects(manifest))
    plan = work / "plan.parquet"
    planned = write_plan(plan, manifest, chosen.features.shard_mb)
    writer = WriteShard(Job(str(plan), str(work / "shards"), "", chosen.audio, chosen.text, chosen.features))
    writer.labeller = labeller
    receipts = [writer.write(shard) for shard in planned]
    ids = [
        row["id"] for receipt in receipts if receipt.entry for row in read_shard(work / "shards" / receipt.entry.name)
    ]
    return Made(ids, [*read_rejects(manifest), *(row for receipt in receipts for row in receipt.rejected)])


def read_shard(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pq.read_table(path, columns=["id", "labels"]).to_pylist()
    return found


def check(found: Made, n_rows: int) -> None:
    """The invariant of every corpus."""
    assert len(found.ids) + len(found.rejected) == n_rows
    assert len(set(found.ids)) == len(found.ids)
    assert set(found.reasons) <= REASONS, set(found.reasons) - REASONS


@given(corpus=st.lists(rows, max_size=30), suffix=st.sampled_from(SUFFIXES))
@example(corpus=[], suffix=".jsonl")
@example(corpus=[], suffix=".csv")
@example(corpus=[{"audio": name, "text": "Un texto."} for name in (*GOOD, *BAD)], suffix=".jsonl")
@settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_each_row_of_any_corpus_is_in_the_shards_or_among_the_rejects(
    audio: Path, labeller: Labeller, corpus: Sequence[dict[str, str]], suffix: str
) -> None:
    with TemporaryDirectory() as work:
        table = audio / f"table{suffix}"
        write_table(table, corpus)
        check(made(table, labeller, Path(work)), len(corpus))


def mixed(n_rows: int, random: Random) -> list[dict[str, str]]:
    """Rows of which half are good, with as few recordings as there are."""
    found = []
    for n in range(n_rows):
        row = {"id": f"row-{n}", "audio": random.choice(GOOD), "text": f"Texto {n}.", "split": SPLITS[n % 4]}
        if n % 2:
            row |= random.choice(
                [
                    {"audio": random.choice(BAD)},
                    {"id": random.choice(HOSTILE)},
                    {"id": f"row-{random.randrange(n_rows)}"},
                    {"text": random.choice(("", " ", "\ud800"))},
                    {"start_s": random.choice(("nan", "-1", "9", "x"))},
                    {"language": random.choice(("xx", "tlh"))},
                    {"split": "holdout"},
                    {"speaker": random.choice(HOSTILE)},
                ]
            )
        found.append(row)
    return found


@pytest.mark.slow
def test_ten_thousand_rows_of_which_half_are_bad_are_all_accounted_for(
    audio: Path, labeller: Labeller, tmp_path: Path
) -> None:
    table = audio / "many.jsonl"
    write_table(table, mixed(N_MOST, Random(1)))
    found = made(table, labeller, tmp_path)
    check(found, N_MOST)
    assert len(found.ids) > N_MOST // 2
    sees = ", ".join(f"{count:,} {reason}" for reason, count in found.reasons.most_common())
    keeps = f"{len(found.ids):,} rows in the shards, the others among the rejects"
    note(Seen("input", f"a corpus of {N_MOST:,} rows, every other one with a fault", sees, keeps))


def test_what_is_no_recording_is_rejected_in_a_line_and_never_waited_for(
    audio: Path, labeller: Labeller, tmp_path: Path
) -> None:
    table = audio / "each.jsonl"
    write_table(table, [{"id": str(n), "audio": name, "text": "Un texto."} for n, name in enumerate(BAD)])
    found = made(table, labeller, tmp_path)
    check(found, len(BAD))
    assert found.ids == []
    assert all(row.detail and len(row.detail.splitlines()) == 1 for row in found.rejected)
    rows = {BAD[int(row.id)]: row for row in found.rejected}
    for name, what in PLACES.items():
        keeps = "all other rows; this one is among the rejects"
        note(Seen("input", f"{what} in the place of a recording", f"{rows[name].reason}: {rows[name].detail}", keeps))
