"""The Beam job for real: from a manifest to shards, index and rejects."""

import json
import re
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import apache_beam as beam
import numpy as np
import pytest
import soundfile
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from transformers import WhisperFeatureExtractor

from asr import params
from asr.clips.plan import write_plan
from asr.corpora import manifest
from asr.corpora.corpus import write as write_corpus
from asr.corpora.rejects import read_rejects, write_rejects
from asr.errors import UserError
from asr.features import RATE_HZ, pad_log_mel
from asr.shards import read_examples, read_index, sha256_of
from asr.utterances import Rejected, Utterance
from pipelines import shard_job
from pipelines.preprocess import Corpus, preprocess
from tests.builders import decoded, speech_like

N_GOOD = 30
PARAMS = params.check({"features": {"shard_mb": 0.3}})


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """A manifest of good clips and one of each kind of bad one."""
    folder = tmp_path_factory.mktemp("corpus")
    items: list[Utterance | Rejected] = []
    for n in range(N_GOOD):
        path = folder / f"{n}.wav"
        soundfile.write(path, speech_like(0.3 + n / 10, seed=n, rate_hz=22_050), 22_050)
        split = ("train", "train", "train", "validation", "test")[n % 5]
        size_bytes, timed = path.stat().st_size, n % 7 == 0
        items.append(Utterance(f"good-{n}", str(path), f"Text {n}.", "es", split, source_bytes=size_bytes, timed=timed))
    for name, samples in {"silent": np.zeros(RATE_HZ), "short": speech_like(0.01), "long": speech_like(31)}.items():
        soundfile.write(folder / f"{name}.wav", samples, RATE_HZ)
        items.append(Utterance(name, str(folder / f"{name}.wav"), "Text.", "es", "train", source_bytes=32_000))
    items.append(Utterance("absent", str(folder / "absent.wav"), "Text.", "es", "test"))
    items.append(Rejected("row-9", "empty text"))
    listing = folder / "listing.json"
    listing.write_text("{}")
    write_corpus(items, folder / "manifest", PARAMS.data)
    return Corpus(folder / "manifest", listing)


def run(corpus, base, folder, **options):
    preprocess(corpus, base, folder / "features", folder / "work", options.get("params", PARAMS))
    return read_index(folder / "features")


@pytest.fixture(scope="module")
def features(corpus, scratch, tmp_path_factory):
    folder = tmp_path_factory.mktemp("in-memory")
    run(corpus, scratch, folder)
    return folder / "features"


def hashes(index):
    return {entry.name: entry.sha256 for entries in index.splits.values() for entry in entries}


def test_every_row_is_in_the_shards_or_among_the_rejects(corpus, features):
    index = read_index(features)
    assert {split: index.rows(split) for split in index.splits} == {"train": 18, "validation": 6, "test": 6}
    assert len(index.splits["train"]) > 3
    reasons = {row.id: row.reason for row in read_rejects(features)}
    assert reasons == {
        "silent": "silent",
        "short": "too short",
        "long": "too long",
        "absent": "missing audio",
        "row-9": "empty text",
    }
    read = [row["id"] for split in index.splits for row in read_examples(features, split)]
    assert sorted(read) == sorted(f"good-{n}" for n in range(N_GOOD))


def test_features_equal_transformers_own_from_the_file_to_the_shard(corpus, features):
    paths = {row.id: row.audio for row in manifest.read(corpus.manifest)}
    extractor = WhisperFeatureExtractor()
    for row in read_examples(features, "test"):
        reference = extractor(decoded(paths[row["id"]]), sampling_rate=RATE_HZ, return_tensors="np").input_features[0]
        read = pad_log_mel(row["log_mel"], 3000)
        np.testing.assert_allclose(read, reference, atol=2e-4 + 2**-11)  # a float16 under 2 is off by 2^-11 at most


def test_a_row_is_timed_where_its_utterance_is(features):
    read = {
        row["id"]: row["timed"] for split in ("train", "validation", "test") for row in read_examples(features, split)
    }
    assert read == {f"good-{n}": n % 7 == 0 for n in range(N_GOOD)}


def test_the_index_names_the_tokenizer_of_its_labels(features, scratch):
    assert read_index(features).tokenizer == sha256_of(scratch / "tokenizer.json")


def test_two_processes_give_the_same_bytes(corpus, features, scratch, tmp_path, monkeypatch):
    monkeypatch.setenv("BEAM_WORKERS", "2")
    index = run(corpus, scratch, tmp_path)
    assert hashes(index) == hashes(read_index(features))
    assert (tmp_path / "features/index.json").read_text() == (features / "index.json").read_text()
    assert (tmp_path / "features/rejects.parquet").read_bytes() == (features / "rejects.parquet").read_bytes()


def test_a_job_that_broke_off_goes_on_with_the_missing_shards(corpus, features, scratch, tmp_path, monkeypatch):
    written, write = [], shard_job.WriteShard.write

    def break_off(self, planned):
        if len(written) == 2:
            raise RuntimeError("killed")
        written.append(planned.name)
        return write(self, planned)

    monkeypatch.setattr(shard_job.WriteShard, "write", break_off)
    with pytest.raises(RuntimeError, match="killed"):
        run(corpus, scratch, tmp_path)
    assert not (tmp_path / "features").exists()
    assert len(written) == 2

    monkeypatch.setattr(
        shard_job.WriteShard, "write", lambda self, planned: written.append(planned.name) or write(self, planned)
    )
    index = run(corpus, scratch, tmp_path)
    assert sorted(written) == sorted(hashes(index))
    assert hashes(index) == hashes(read_index(features))
    assert not (tmp_path / "work").exists()


def test_the_fingerprint_follows_what_decides_the_bytes(corpus, features, scratch, tmp_path):
    before = read_index(features).fingerprint
    lower = PARAMS.model_copy(update={"text": params.Text(lowercase=True)})
    other = run(corpus, scratch, tmp_path, params=lower)
    assert other.fingerprint != before
    trained = PARAMS.model_copy(update={"train": params.Train(max_steps=7), "model": params.Model(window_s=30)})
    shutil.rmtree(tmp_path / "features")
    assert run(corpus, scratch, tmp_path, params=trained).fingerprint == before


def test_a_split_without_a_usable_row_ends_with_its_reasons(corpus, scratch, tmp_path):
    strict = PARAMS.model_copy(update={"audio": params.Audio(min_s=29.0)})
    with pytest.raises(UserError, match=r"all 34 rows were rejected: 3\d too short"):
        run(corpus, scratch, tmp_path, params=strict)
    rows = [replace(row, audio="gone") if row.split == "test" else row for row in manifest.read(corpus.manifest)]
    manifest.write(rows, tmp_path / "manifest")
    write_rejects(tmp_path / "manifest", [])
    with pytest.raises(UserError, match="all 7 rows of the test split were rejected: 7 missing audio"):
        run(replace(corpus, manifest=tmp_path / "manifest"), scratch, tmp_path)


@pytest.mark.parametrize(("language", "said"), [("xx", "language 'xx'"), ("hi", "text.digits: .* in hi; set")])
def test_a_language_that_cannot_be_labelled_or_spelled_is_named_before_the_job(language, said, scratch, tmp_path):
    rows = [Utterance(split, "a.wav", "Text.", language, split) for split in ("train", "validation", "test")]
    manifest.write(rows, tmp_path / "manifest")
    write_rejects(tmp_path / "manifest", [])
    listing = Path(tmp_path / "listing.json")
    listing.write_text(json.dumps({}))
    spelling = PARAMS.model_copy(update={"text": params.Text(digits="spell")})
    with pytest.raises(UserError, match=said):
        run(Corpus(tmp_path / "manifest", listing), scratch, tmp_path, params=spelling)


def test_what_a_machine_may_be_to_blame_for_is_tried_again(corpus, scratch, tmp_path, monkeypatch):
    monkeypatch.setenv("FEATURES_ROOT", str(tmp_path / "disk"))
    rows = list(manifest.read(corpus.manifest))
    moved = tmp_path / "later.wav"
    rows = [replace(row, audio=str(moved)) if row.id == "good-7" else row for row in rows]
    manifest.write(rows, tmp_path / "manifest")
    write_rejects(tmp_path / "manifest", [])
    moved_corpus = replace(corpus, manifest=tmp_path / "manifest")
    assert "missing audio" in {row.reason for row in rejects_of(run(moved_corpus, scratch, tmp_path), tmp_path)}

    written, write = [], shard_job.WriteShard.write
    monkeypatch.setattr(
        shard_job.WriteShard, "write", lambda self, planned: written.append(planned.name) or write(self, planned)
    )
    shutil.copy(next(row.audio for row in manifest.read(corpus.manifest) if row.id == "good-7"), moved)
    again = run(moved_corpus, scratch, tmp_path)
    assert {row.id for row in rejects_of(again, tmp_path) if row.reason == "missing audio"} == {"absent"}
    assert 0 < len(written) < len(hashes(again))


def rejects_of(index, folder):
    rows = read_rejects(folder / "features")
    assert len(rows) == index.rejected
    return rows


def test_where_a_split_is_lost_the_next_run_tries_its_rows_again(corpus, scratch, tmp_path):
    gone = tmp_path / "gone"
    rows = [
        replace(row, audio=str(gone / Path(row.audio).name)) if row.split == "test" else row
        for row in manifest.read(corpus.manifest)
    ]
    manifest.write(rows, tmp_path / "manifest")
    write_rejects(tmp_path / "manifest", [])
    lost = replace(corpus, manifest=tmp_path / "manifest")
    with pytest.raises(UserError, match="all 7 rows of the test split were rejected: 7 missing audio"):
        run(lost, scratch, tmp_path)
    shutil.copytree(corpus.manifest.parent, gone)
    assert run(lost, scratch, tmp_path).rows("test") == 6


def test_what_other_choices_left_unfinished_stays(corpus, features, scratch, tmp_path, monkeypatch):
    def break_off(self, planned):
        if planned.name.startswith("test/"):
            raise RuntimeError("killed")
        return write(self, planned)

    write = shard_job.WriteShard.write
    monkeypatch.setattr(shard_job.WriteShard, "write", break_off)
    with pytest.raises(RuntimeError, match="killed"):
        run(corpus, scratch, tmp_path)
    left = sorted((tmp_path / "work").rglob("*.parquet.json"))
    assert left

    monkeypatch.setattr(shard_job.WriteShard, "write", write)
    run(corpus, scratch, tmp_path, params=PARAMS.model_copy(update={"text": params.Text(lowercase=True)}))
    assert sorted((tmp_path / "work").rglob("*.parquet.json")) == left


@pytest.mark.parametrize(
    ("root", "said"),
    [
        ("hdfs://node/features", "FEATURES_ROOT is 'hdfs://node/features'; it must be gs://"),
        ("hf://datasets/me/features", "FEATURES_ROOT is 'hf://datasets/me/features'; it must be gs://"),
        ("s3a://bucket/features", "FEATURES_ROOT is 's3a://bucket/features'; it must be gs://"),
        ("features", "FEATURES_ROOT is 'features', which is emptied at each run"),
        ("work/deeper", "FEATURES_ROOT is 'work/deeper', which is emptied at each run"),
    ],
)
def test_a_features_root_that_is_no_place_to_stay_is_refused(corpus, scratch, tmp_path, monkeypatch, root, said):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FEATURES_ROOT", root)
    with pytest.raises(UserError, match=re.escape(said)):
        run(corpus, scratch, Path())


def test_a_worker_of_other_code_ends_the_job(corpus, scratch, tmp_path, monkeypatch):
    monkeypatch.setattr(shard_job, "FEATURES_VERSION", 0)
    with pytest.raises(UserError, match=r"of version 0, and the launcher wants \d+: build the worker image anew"):
        run(corpus, scratch, tmp_path)


def test_a_cluster_that_fails_is_one_line(corpus, scratch, tmp_path, monkeypatch):
    monkeypatch.setenv("BEAM_RUNNER", "FlinkRunner")
    monkeypatch.setenv("BEAM_OPTIONS", "--job_endpoint=localhost:9 --flink_master=[local] --job_server_timeout=1")
    with pytest.raises(UserError, match=r"FlinkRunner: .*the finished shards are kept"):
        run(corpus, scratch, tmp_path)


def test_the_job_counts_what_it_does(corpus, scratch, tmp_path):
    planned = write_plan(tmp_path / "plan.parquet", corpus.manifest, PARAMS.features.shard_mb)
    job = shard_job.Job(
        str(tmp_path / "plan.parquet"), str(tmp_path), str(scratch), PARAMS.audio, PARAMS.text, PARAMS.features
    )
    pipeline = beam.Pipeline(FnApiRunner())
    shard_job.build(pipeline, job, planned)
    found = pipeline.run().metrics().query()
    counted: Counter[tuple[str, str]] = Counter()
    for counter in found["counters"]:
        counted[counter.key.metric.namespace, counter.key.metric.name] += counter.result
    assert counted["features", "rows"] == N_GOOD and counted["features", "shards"] == len(planned)
    assert {name: n for (space, name), n in counted.items() if space == "rejected"} == {
        "silent": 1,
        "too short": 1,
        "too long": 1,
        "missing audio": 1,
    }
    clip_ms = [each.result for each in found["distributions"] if each.key.metric.name == "clip_ms"]
    assert sum(each.count for each in clip_ms) == N_GOOD
    assert (min(each.min for each in clip_ms), max(each.max for each in clip_ms)) == (300, 3200)
