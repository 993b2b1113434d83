"""The Beam job for real: from a manifest to shards, index and rejects."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from transformers import WhisperFeatureExtractor

from asr import manifest, params
from asr.corpus import write as write_corpus
from asr.errors import UserError
from asr.features import RATE_HZ, pad_log_mel
from asr.rejects import read_rejects, write_rejects
from asr.shards import read_examples, read_index
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
        items.append(Utterance(f"good-{n}", str(path), f"Text {n}.", "es", split, source_bytes=path.stat().st_size))
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


def test_a_language_that_the_checkpoint_does_not_know_is_named_before_the_job(scratch, tmp_path):
    rows = [Utterance(split, "a.wav", "Text.", "xx", split) for split in ("train", "validation", "test")]
    manifest.write(rows, tmp_path / "manifest")
    write_rejects(tmp_path / "manifest", [])
    listing = Path(tmp_path / "listing.json")
    listing.write_text(json.dumps({}))
    with pytest.raises(UserError, match="language 'xx'"):
        run(Corpus(tmp_path / "manifest", listing), scratch, tmp_path)
