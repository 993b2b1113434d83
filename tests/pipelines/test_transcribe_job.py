"""Recordings in bulk: every one is in the table or in the rejects, killed jobs go on, and the table trains the next."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from asr import params
from asr.sources import table
from asr.utterances import Utterance
from pipelines import transcribe

N_CLIPS = 5


@pytest.fixture(scope="module")
def audio(real_clips, tmp_path_factory):
    folder = tmp_path_factory.mktemp("audio")
    for number, (path, _, _) in enumerate(real_clips[:: len(real_clips) // N_CLIPS][:N_CLIPS]):
        (folder / f"{number}.ogg").write_bytes(Path(path).read_bytes())
    (folder / "broken.wav").write_bytes(b"RIFFnonsense")
    return folder


@pytest.fixture
def run(scratch, monkeypatch, capfd):
    def command(*words):
        words = [*map(str, words), "--model", str(scratch), "--language", "es", "--shard-mb", "0.02"]
        monkeypatch.setattr(sys, "argv", ["transcribe", *words])
        try:
            transcribe.main()
        except SystemExit as ended:
            return f"{capfd.readouterr().out}{ended.code}"
        return capfd.readouterr().out

    return command


@pytest.fixture(scope="module")
def done(audio, scratch, tmp_path_factory):
    """What a run in a process of its own leaves."""
    out = tmp_path_factory.mktemp("out")
    words = [str(audio), str(out), "--model", str(scratch), "--language", "es", "--shard-mb", "0.02"]
    subprocess.run([sys.executable, "-m", "pipelines.transcribe", *words], check=True, capture_output=True)
    return out


def test_every_recording_is_in_the_table_or_in_the_rejects(audio, done):
    rows = pq.read_table(done / "transcripts.parquet").to_pylist()
    rejects = pq.read_table(done / "rejects.parquet").to_pylist()
    assert sorted({Path(row["audio"]).name for row in rows}) == [f"{n}.ogg" for n in range(N_CLIPS)]
    assert [(row["id"], row["reason"]) for row in rejects] == [("broken", "undecodable audio")]
    assert all(row["text"] and row["language"] == "es" and 0 <= row["confidence"] <= 1 for row in rows)
    assert all(0 <= row["start_s"] <= row["end_s"] for row in rows)
    assert json.loads((done / "index.json").read_text())["rows"] == len(rows)
    assert sorted(path.name for path in done.iterdir()) == ["index.json", "rejects.parquet", "transcripts.parquet"]


def test_the_next_training_reads_the_table_as_it_is(done):
    data = params.Data(source="table", language="es", table=params.Table(path=str(done / "transcripts.parquet")))
    rows = list(table.utterances(data, Path()))
    assert len(rows) >= N_CLIPS and all(isinstance(row, Utterance) and row.timed for row in rows)


def test_the_same_again_is_done_already_and_the_same_bytes_elsewhere(audio, done, run, tmp_path):
    assert "is done already" in run(audio, done)
    listed = tmp_path / "list.csv"
    listed.write_text("audio\n" + "".join(f"{path}\n" for path in sorted(audio.iterdir(), reverse=True)))
    run(listed, tmp_path / "out")
    again, first = (pq.read_table(f / "transcripts.parquet").drop(["id"]) for f in (tmp_path / "out", done))
    assert again.sort_by("audio").equals(first.sort_by("audio"))


def test_a_job_that_was_killed_goes_on(audio, done, run, tmp_path, monkeypatch):
    from pipelines import transcription_job

    out, written = tmp_path / "out", []
    really = transcription_job.TranscribeShard.write

    def write(self, planned):
        if len(written) == 2:
            raise OSError(28, "No space left on device")
        written.append(planned.name)
        return really(self, planned)

    monkeypatch.setattr(transcription_job.TranscribeShard, "write", write)
    said = run(audio, out)
    assert "No space left on device; the finished shards are kept: run it again when that is mended" in said
    assert not (out / "index.json").exists()
    heard = []
    monkeypatch.setattr(
        transcription_job.TranscribeShard, "write", lambda self, p: heard.append(p.name) or really(self, p)
    )
    run(audio, out)
    assert not set(heard) & set(written)
    assert (out / "transcripts.parquet").read_bytes() == (done / "transcripts.parquet").read_bytes()


def test_what_a_user_can_mend_is_one_line(audio, run, tmp_path):
    assert run(tmp_path / "none", tmp_path / "out").startswith("error: ")
    (tmp_path / "only").mkdir()
    (tmp_path / "only" / "broken.wav").write_bytes(b"RIFFnonsense")
    assert "error: nothing was heard in any recording: 1 undecodable audio" in run(tmp_path / "only", tmp_path / "out")
    assert "low confidence" in run(audio, tmp_path / "low", "--min-confidence", "1")
    assert "error: --min-confidence is 2; it must be 0 to 1" in run(audio, tmp_path / "out", "--min-confidence", "2")
    assert "error: --window-s is 60; it must be 1 to 30" in run(audio, tmp_path / "out", "--window-s", "60")
    assert os.listdir(tmp_path / "only") == ["broken.wav"]
