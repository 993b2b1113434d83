"""What a user can mend ends a stage in one line; a bad row ends among the rejects, and the run goes on."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml

import stages
from asr.corpora.rejects import read_rejects
from asr.features import RATE_HZ
from asr.shards import read_examples, read_index
from asr.utterances import SPLITS
from stages import fetch, listing, prepare, preprocess, train
from tests.builders import speech_like

ROOT = Path(__file__).parent.parent
TABLE = {"data": {"source": "table", "language": "es", "table": {"path": "corpus/t.csv"}}}
COLUMNS = ("id", "audio", "text", "split", "language", "start_s", "end_s")
SPLIT_OF = ("train", "train", "validation", "test")
N_GOOD = 8


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A project's folder with a table of good rows, in which stages run in this process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(stages, "_end_with_parent", lambda: None)  # the parent of this process is no `dvc repro`
    write_clips(tmp_path / "corpus")
    write_table(good_rows())
    choose(TABLE)
    return tmp_path


def choose(content):
    Path("params.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")


def write_clips(corpus):
    corpus.mkdir()
    for n in range(N_GOOD):
        soundfile.write(corpus / f"good-{n}.wav", speech_like(0.5, seed=n), RATE_HZ)


def row(name, audio=None, text="Un texto.", split="train", **cells):
    return {"id": name, "audio": audio or f"{name}.wav", "text": text, "split": split, **cells}


def good_rows():
    return [row(f"good-{n}", text=f"Texto {n}.", split=SPLIT_OF[n % 4]) for n in range(N_GOOD)]


def write_table(rows, columns=COLUMNS):
    with Path("corpus/t.csv").open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def run(stage, *paths, monkeypatch):
    monkeypatch.setattr(sys, "argv", [f"stages/{stage.__name__.split('.')[-1]}.py", *paths])
    stages.stage(stage.main)


def refusal(stage, *paths, monkeypatch):
    """The lines that a stage ends with. Any other exception than SystemExit would be a traceback, and fails here."""
    with pytest.raises(SystemExit) as left:
        run(stage, *paths, monkeypatch=monkeypatch)
    assert isinstance(left.value.code, str)  # which Python prints to stderr, with exit code 1
    lines = left.value.code.splitlines()
    assert all(line.startswith("error: ") for line in lines)
    return lines


LISTING = tuple(f"data/{name}.json" for name in ("listing", "checkpoint", "sets", "agreement", "cleaning", "exports"))
PREPARE = ("data/listing.json", "data/corpus", "data/manifest")
PREPROCESS = ("data/manifest", "data/listing.json", "base", "data/features", "data/work")


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ({"train": {"learning_rte": 1.0}}, "error: train.learning_rte: unknown; did you mean learning_rate?"),
        ({"train": {"max_steps": "many"}}, "error: train.max_steps: 'many': "),
        ({"data": {"source": "tables"}}, "error: data.source: 'tables' is not one of"),
        ({"data": {"language": "Spanish"}}, "error: data.language: 'Spanish': "),
        ({"data": {"source": "table"}}, "error: data: data.source is table, so data.table.path must name the file"),
        ({"data": {"synthetic": {"utterances": 5}}}, "error: data.synthetic.utterances: 5 is too few"),
        ("text", "error: params.yaml must be a mapping"),
    ],
)
def test_a_param_that_cannot_be_is_one_line(folder, monkeypatch, content, line):
    choose(content)
    (said,) = refusal(prepare, *PREPARE, monkeypatch=monkeypatch)
    assert said.startswith(line)


def test_a_folder_without_params_is_one_line(folder, monkeypatch):
    Path("params.yaml").unlink()
    assert refusal(prepare, *PREPARE, monkeypatch=monkeypatch) == [
        "error: params.yaml: no such file; run this in the project's own folder"
    ]


@pytest.mark.parametrize("stage", [listing, prepare])
def test_a_missing_table_is_one_line(folder, monkeypatch, stage):
    Path("corpus/t.csv").unlink()
    paths = PREPARE if stage is prepare else LISTING
    (said,) = refusal(stage, *paths, monkeypatch=monkeypatch)
    assert said.startswith("error: data.table.path: there is no file corpus/t.csv; ")


def test_a_missing_column_is_one_line_with_the_setting_that_mends_it(folder, monkeypatch):
    write_table([], ("audio", "sentence"))
    (said,) = refusal(prepare, *PREPARE, monkeypatch=monkeypatch)
    assert "no column 'text'" in said and said.endswith("set data.table.columns: {text: sentence}")


def test_an_empty_table_is_one_line(folder, monkeypatch):
    write_table([])
    assert refusal(prepare, *PREPARE, monkeypatch=monkeypatch) == [
        "error: the corpus is empty: data.source table has no rows"
    ]


def test_a_table_without_a_test_split_is_one_line_with_the_remedy(folder, monkeypatch):
    write_table([row for row in good_rows() if row["split"] != "test"])
    (said,) = refusal(prepare, *PREPARE, monkeypatch=monkeypatch)
    assert said.startswith("error: none of the 6 utterances is in the test split: ") and "data.split.test" in said


def test_where_all_rows_are_rejected_the_line_says_the_commonest_reasons(folder, monkeypatch):
    write_table([row(f"gone-{n}") for n in range(5)] + [row("good-0", split="nowhere")])
    (said,) = refusal(prepare, *PREPARE, monkeypatch=monkeypatch)
    assert said.startswith("error: all 6 rows of data.source table were rejected: missing audio (5, such as 'gone-0'")
    assert "unknown split (1, such as 'good-0'" in said


@pytest.fixture
def prepared(folder, scratch, monkeypatch):
    """The same after listing, prepare and fetch."""
    run(listing, *LISTING, monkeypatch=monkeypatch)
    run(prepare, *PREPARE, monkeypatch=monkeypatch)
    Path("base").symlink_to(scratch)
    return folder


def test_where_no_audio_can_be_decoded_the_line_says_so(prepared, monkeypatch):
    for path in Path("corpus").glob("*.wav"):
        path.write_bytes(b"no audio")
    (said,) = refusal(preprocess, *PREPROCESS, monkeypatch=monkeypatch)
    assert said.startswith("error: all 8 rows were rejected: 8 undecodable audio")


def test_a_language_that_the_checkpoint_does_not_know_is_one_line(folder, scratch, monkeypatch):
    write_table([row | {"language": "yue"} for row in good_rows()])
    run(prepare, *PREPARE, monkeypatch=monkeypatch)
    Path("base").symlink_to(scratch)
    Path("data/listing.json").write_text("{}")
    (said,) = refusal(preprocess, *PREPROCESS, monkeypatch=monkeypatch)
    assert "language 'yue'" in said and "model.checkpoint" in said


def test_a_number_of_workers_that_is_none_is_one_line(prepared, monkeypatch):
    monkeypatch.setenv("BEAM_WORKERS", "zero")
    assert refusal(preprocess, *PREPROCESS, monkeypatch=monkeypatch) == [
        "error: BEAM_WORKERS is 'zero'; it must be a count of processes, 1 or more"
    ]


def test_training_without_features_is_one_line(folder, monkeypatch):
    paths = ("data/base", "data/features", "data/selection", "data/model", "data/run.json", "data/training")
    (said,) = refusal(train, *paths, monkeypatch=monkeypatch)
    assert said.startswith("error: data/features/index.json: no such file; ") and "dvc repro preprocess" in said


def test_a_directory_that_is_no_checkpoint_is_one_line(folder, monkeypatch):
    choose({"model": {"checkpoint": "corpus"}})
    (said,) = refusal(fetch, "data/checkpoint.json", "base", monkeypatch=monkeypatch)
    assert said == "error: corpus: no config.json, so it is not a complete Whisper checkpoint"
    assert not Path("base").exists()


@pytest.mark.parametrize(
    ("command", "content", "line"),
    [
        (("prepare", *PREPARE), {"trane": {}}, "error: trane: unknown; did you mean train?"),
        (
            ("fetch", "unread", "base"),
            {"model": {"checkpoint": "nobody/whisper"}},
            "error: model.checkpoint nobody/whisper: the model hub is out of reach and the checkpoint not in its cache",
        ),
    ],
    ids=["unknown param", "hub out of reach"],
)
def test_a_stage_on_the_command_line_says_one_line_and_fails(folder, command, content, line):
    choose(content)
    hub = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(folder / "hub")}  # a port that nobody listens on
    done = subprocess.run(
        [sys.executable, "-m", f"stages.{command[0]}", *command[1:]],
        env={**os.environ, **hub, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    (said,) = done.stderr.splitlines()
    assert said.startswith(line)
    assert not Path("base").exists()


def bad_rows(corpus):
    """(row, reason) of each kind of row that cannot be used, with its audio where that is what is wrong."""
    samples = speech_like(0.5)
    recordings = {
        "short": samples[: RATE_HZ // 20],
        "long": np.resize(samples, 31 * RATE_HZ),
        "silent": np.zeros(RATE_HZ),
        "no-samples": np.zeros(0),
        "no-number": np.where(np.arange(RATE_HZ) == 99, np.nan, 0.1),
    }
    for name, recorded in recordings.items():
        soundfile.write(corpus / f"{name}.wav", recorded, RATE_HZ, subtype="FLOAT")
    (corpus / "garbage.wav").write_bytes(b"RIFF, or so it says")
    (corpus / "no-bytes.wav").touch()
    soundfile.write(corpus / "broken.flac", samples, RATE_HZ)
    intact = (corpus / "broken.flac").read_bytes()
    (corpus / "broken.flac").write_bytes(intact[:200] + bytes(len(intact) - 200))
    (corpus.parent / "outside.wav").write_bytes((corpus / "good-0.wav").read_bytes())
    good = "good-1.wav"
    return [
        (row("short"), "too short"),
        (row("long"), "too long"),
        (row("silent"), "silent"),
        (row("no-samples"), "empty audio"),
        (row("no-number"), "not a number"),
        (row("garbage"), "undecodable audio"),
        (row("broken", "broken.flac"), "undecodable audio"),
        (row("no-bytes"), "empty audio"),
        (row("absent"), "missing audio"),
        (row("a-folder", "."), "outside audio_root"),
        (row("outside", "../outside.wav"), "outside audio_root"),
        (row("zero-byte", "a\0b.wav"), "missing audio"),
        (row("not-utf8-name", "caf\udce9.wav"), "missing audio"),
        (row("past-the-end", good, start_s="7", end_s="8"), "empty audio"),
        (row("backwards", good, start_s="2", end_s="1"), "bad times"),
        (row("no-text", good, " "), "empty text"),
        (row("marks-alone", good, "?!"), "empty text"),
        (row("not-utf8", good, "caf\udce9"), "undecodable text"),
        (row("novel", good, "palabra " * 500), "too long text"),
        (row("good-1", good, "Otra vez."), "duplicate id"),
        (row("klingon", good, language="Klingon"), "unknown language"),
        (row("nowhere", good, split="nowhere"), "unknown split"),
    ]


def test_every_bad_row_is_rejected_with_its_reason_and_the_run_goes_on(folder, scratch, monkeypatch):
    bad = bad_rows(folder / "corpus")
    rows = [*good_rows(), *(row for row, _ in bad)]
    write_table(rows)
    table = {**TABLE["data"]["table"], "audio_root": "corpus"}
    choose({"data": {**TABLE["data"], "table": table}, "text": {"remove_punctuation": True}})
    Path("base").symlink_to(scratch)
    run(listing, *LISTING, monkeypatch=monkeypatch)
    run(prepare, *PREPARE, monkeypatch=monkeypatch)
    run(preprocess, *PREPROCESS, monkeypatch=monkeypatch)

    features = Path("data/features")
    rejects = read_rejects(features)
    assert sorted((each.id, each.reason) for each in rejects) == sorted((row["id"], reason) for row, reason in bad)
    assert all(each.detail or each.reason == "empty text" for each in rejects)
    index = read_index(features)
    assert sum(map(index.rows, SPLITS)) + index.rejected == len(rows)
    kept = [each["id"] for split in SPLITS for each in read_examples(features, split)]
    assert sorted(kept) == [f"good-{n}" for n in range(N_GOOD)]


def test_the_listing_changes_with_the_corpus_and_with_nothing_else(folder, monkeypatch):
    def listed():
        run(listing, *LISTING, monkeypatch=monkeypatch)
        return Path("data/listing.json").read_bytes()

    first = listed()
    assert json.loads(first)["files"] == N_GOOD + 1
    Path("corpus/notes.txt").write_text("not of the corpus")
    choose({**TABLE, "train": {"learning_rate": 0.5}})
    assert listed() == first

    before = Path("corpus/good-0.wav").stat()
    soundfile.write("corpus/good-0.wav", speech_like(0.5, seed=99), RATE_HZ)
    assert Path("corpus/good-0.wav").stat().st_size == before.st_size
    replaced = listed()
    assert replaced != first

    write_table([*good_rows(), row("added", "good-0.wav")])
    assert listed() not in (first, replaced)


@pytest.mark.parametrize("audio_root", ["corpus", None])
def test_names_that_no_file_can_have_are_listed_and_rejected(folder, monkeypatch, audio_root):
    """JSON can say half of a surrogate pair, which no encoding writes."""
    choose({"data": {**TABLE["data"], "table": {"path": "corpus/t.jsonl", "audio_root": audio_root}}})
    odd = [row("half", "\ud800.wav"), row("half-text", "good-0.wav", "\ud800"), row("\ud800", "good-0.wav")]
    Path("corpus/t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [*good_rows(), *odd]))
    run(listing, *LISTING, monkeypatch=monkeypatch)
    run(prepare, *PREPARE, monkeypatch=monkeypatch)
    assert [(each.id, each.reason) for each in read_rejects(Path("data/manifest"))] == [
        ("half", "missing audio"),
        ("half-text", "undecodable text"),
        ("\\ud800", "undecodable id"),
    ]
