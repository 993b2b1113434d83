"""Features in an object store: the same bytes, only the index on this machine, and nothing that is written over."""

import json
from pathlib import Path

import pytest
import soundfile

from asr import params, storage
from asr.corpora.corpus import write as write_corpus
from asr.shards import read_columns, read_examples, read_index
from asr.utterances import Utterance
from pipelines.preprocess import Corpus, preprocess
from pipelines.shard_job import WriteShard
from tests.builders import speech_like

pytest_plugins = ["tests.emulators"]

PARAMS = params.check({"features": {"shard_mb": 0.1}})
N_CLIPS = 12


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Small recordings, by name."""
    folder = tmp_path_factory.mktemp("clips")
    for n in range(N_CLIPS):
        soundfile.write(folder / f"{n} ñ.wav", speech_like(0.5, seed=n), 16_000)
    return folder


def corpus_of(root, clips, folder):
    """A manifest that refers to the clips below `root`, a folder or URI."""
    items = [
        Utterance(
            f"clip-{n}",
            storage.join(root, f"{n} ñ.wav"),
            f"Text {n}.",
            "es",
            ("train", "train", "validation", "test")[n % 4],
            source_bytes=(clips / f"{n} ñ.wav").stat().st_size,
        )
        for n in range(N_CLIPS)
    ]
    write_corpus(items, folder / "manifest", PARAMS.data)
    (folder / "listing.json").write_text("{}")
    return Corpus(folder / "manifest", folder / "listing.json")


def run(corpus, base, folder, chosen=PARAMS):
    preprocess(corpus, base, folder / "features", folder / "work", chosen)
    return read_index(folder / "features")


def contents(index):
    return {entry.name: entry.sha256 for entries in index.splits.values() for entry in entries}


def test_a_corpus_and_features_in_a_store_give_the_bytes_of_this_machine(clips, scratch, tmp_path, store, monkeypatch):
    here = run(corpus_of(clips, clips, tmp_path / "here"), scratch, tmp_path / "here")

    for path in clips.iterdir():
        storage.put_bytes(path.read_bytes(), storage.join(store, f"clips/{path.name}"))
    monkeypatch.setenv("FEATURES_ROOT", storage.join(store, "features"))
    folder = tmp_path / "there"
    there = run(corpus_of(storage.join(store, "clips"), clips, folder), scratch, folder)
    assert contents(there) == contents(here)
    assert there.tokenizer == here.tokenizer != ""
    assert there.root.startswith(f"{store}/features/{there.fingerprint}")
    local, remote = tmp_path / "here/features", folder / "features"
    assert [row["id"] for row in read_examples(remote, "test")] == [row["id"] for row in read_examples(local, "test")]
    assert read_columns(remote, "train", ["id"]) == read_columns(local, "train", ["id"])

    assert sorted(path.name for path in (folder / "features").rglob("*") if path.is_file()) == sorted(
        ["index.json", "rejects.parquet", "overview.png", "report.html", *3 * ["shards.json"]]
    )
    listed = json.loads((folder / "features/test/shards.json").read_text())
    assert {entry["name"]: entry["sha256"] for entry in listed} == {
        name: sha256 for name, sha256 in contents(here).items() if name.startswith("test/")
    }


def test_other_params_write_under_another_prefix_and_the_first_stays(clips, scratch, tmp_path, s3, monkeypatch):
    monkeypatch.setenv("FEATURES_ROOT", s3)
    corpus = corpus_of(clips, clips, tmp_path)
    first = run(corpus, scratch, tmp_path)
    before = storage.below(first.root)
    second = run(corpus, scratch, tmp_path, PARAMS.model_copy(update={"text": params.Text(lowercase=True)}))
    assert second.root != first.root
    assert contents(second) != contents(first)
    assert storage.below(first.root) == before


def test_what_lies_finished_in_the_store_is_not_made_again(clips, scratch, tmp_path, s3, monkeypatch):
    monkeypatch.setenv("FEATURES_ROOT", s3)
    corpus = corpus_of(clips, clips, tmp_path)
    first = run(corpus, scratch, tmp_path)
    name = first.splits["train"][0].name
    files = storage.file_system(first.root)
    files.rm([storage.join(first.root, name), storage.join(first.root, f"{name}.json")])
    written, write = [], WriteShard.write
    monkeypatch.setattr(WriteShard, "write", lambda self, planned: written.append(planned.name) or write(self, planned))
    assert run(corpus, scratch, tmp_path) == first
    assert written == [name]


def test_features_on_another_disk_stay_there(clips, scratch, tmp_path, monkeypatch):
    disk: Path = tmp_path / "disk"
    monkeypatch.setenv("FEATURES_ROOT", str(disk))
    index = run(corpus_of(clips, clips, tmp_path), scratch, tmp_path)
    assert Path(index.root).parent == disk
    assert all((Path(index.root) / name).exists() for name in contents(index))
    assert len(list(read_examples(tmp_path / "features", "train"))) == index.rows("train")
