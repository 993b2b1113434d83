"""The command: short and long recordings, folders that go on, and everything that is no speech."""

import io
import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
import soundfile

from asr import transcribe
from asr.clips.tokens import Labeller
from asr.evaluate.decode import transcribe as evaluated
from asr.features import RATE_HZ, log_mel
from asr.transcription import engines
from asr.transcription.recordings import Failed, Transcriber
from tests.builders import decoded, example, write_features

N_CLIPS = 8


@pytest.fixture(scope="module")
def clips(real_clips):
    return real_clips[:: len(real_clips) // N_CLIPS][:N_CLIPS]


@pytest.fixture(scope="module")
def loaded(scratch):
    return engines.load(scratch, "torch")


@pytest.fixture
def run(scratch, monkeypatch, capfd):
    """Runs the command with arguments; its exit status, and what it wrote to stdout and stderr."""

    def command(*arguments, stdin=b""):
        words = ["transcribe", *map(str, arguments), "--model", str(scratch), "--language", "es"]
        monkeypatch.setattr(sys, "argv", words)
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as ended:
            transcribe.main()
        if isinstance(ended.value.code, str):
            print(ended.value.code, file=sys.stderr)
        said = capfd.readouterr()
        return (ended.value.code if isinstance(ended.value.code, int) else 1), said.out, said.err

    return command


def test_a_short_clip_is_heard_as_the_evaluation_hears_it(clips, scratch, loaded, tmp_path):
    labeller = Labeller(scratch)
    rows = [
        example(path, len(decoded(path)) / RATE_HZ, labeller.labels(text, language), log_mel=log_mel(decoded(path)))
        for path, language, text in clips
        if language == "es"
    ]
    write_features(tmp_path, {"test": rows})
    expected = evaluated(scratch, tmp_path, "test", loaded.window_s, "float32", "as evaluated").hypotheses
    found = dict(Transcriber(loaded, "es").transcripts([row["id"] for row in rows]))
    assert {name: " ".join(transcript.text.split()) for name, transcript in found.items()} == {
        name: " ".join(text.split()) for name, text in expected.items()
    }


def test_transcripts_come_in_the_order_of_the_recordings_and_times_lie_within_them(clips, loaded, tmp_path):
    long = tmp_path / "long.wav"
    pause = np.zeros(RATE_HZ, np.float32)
    soundfile.write(
        long, np.concatenate([part for path, _, _ in clips * 4 for part in (decoded(path), pause)]), RATE_HZ
    )
    names = [clips[0][0], str(long), clips[1][0], str(tmp_path / "none.wav")]
    found = list(Transcriber(loaded).transcripts(names))
    assert [name for name, _ in found] == names
    assert found[3][1].reason == "missing audio"
    transcript = found[1][1]
    assert transcript.duration_s == pytest.approx(soundfile.info(long).duration, abs=0.01)
    assert len(transcript.segments) >= N_CLIPS - 2 and transcript.language in loaded.languages
    starts = [segment.start_s for segment in transcript.segments]
    assert starts == sorted(starts)
    for word in transcript.words:
        assert 0 <= word.start_s <= word.end_s <= transcript.duration_s + 0.01 and 0 <= word.confidence <= 1


def test_batches_change_no_word(clips, loaded, monkeypatch):
    names = [path for path, _, _ in clips[:5]]
    together = dict(Transcriber(loaded, "es").transcripts(names))
    monkeypatch.setattr("asr.transcription.recordings.POOL_SIZE", 1)
    alone = dict(Transcriber(loaded, "es").transcripts(names))
    assert {name: one.text for name, one in together.items()} == {name: one.text for name, one in alone.items()}


def test_a_folder_gets_all_formats_and_a_second_run_goes_on(clips, run, tmp_path):
    audio, out = tmp_path / "audio" / "deep", tmp_path / "out"
    audio.mkdir(parents=True)
    for number, (path, _, _) in enumerate(clips[:3]):
        (audio / f"{number}.ogg").write_bytes(Path(path).read_bytes())
    (audio / "notes.txt").write_text("no audio")
    (audio / "broken.wav").write_bytes(b"RIFFnonsense")
    status, _, said = run(audio.parent, "--out", out)
    assert status == 1
    assert "broken.wav: not transcribed, undecodable audio" in said and "Traceback" not in said
    made = sorted(str(path.relative_to(out)) for path in out.rglob("*.*"))
    assert made == sorted(
        [".transcribed.jsonl", *(f"deep/{n}.{suffix}" for n in range(3) for suffix in ("json", "srt", "txt", "vtt"))]
    )
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.txt")}
    (audio / "broken.wav").unlink()
    (out / "deep" / "1.txt").unlink()
    status, _, said = run(audio.parent, "--out", out)
    assert status == 0 and "2 of 3 recordings are done from an earlier run" in said
    assert {path: path.stat().st_mtime_ns for path in before if path.stem != "1"} == {
        path: time for path, time in before.items() if path.stem != "1"
    }
    status, _, said = run(audio.parent, "--out", out, "--window-s", 5)
    assert status == 1 and "transcripts of another window_s" in said and "--overwrite" in said


def test_the_same_name_of_another_recording_is_not_done(clips, run, tmp_path):
    for number, folder in enumerate(("x", "y")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.ogg").write_bytes(Path(clips[number][0]).read_bytes())
    assert run(tmp_path / "x" / "a.ogg", "--out", tmp_path / "out")[0] == 0
    status, _, said = run(tmp_path / "y" / "a.ogg", "--out", tmp_path / "out")
    assert status == 1 and "a.* is of" in said and "choose another --out" in said
    status, _, said = run(tmp_path / "x" / "a.ogg", tmp_path / "y" / "a.ogg", "--out", tmp_path / "two")
    assert status == 1 and "would both be a.*" in said


def test_a_changed_recording_is_heard_anew_and_a_killed_overwrite_mixes_nothing(clips, run, tmp_path):
    (tmp_path / "a.ogg").write_bytes(Path(clips[0][0]).read_bytes())
    (tmp_path / "b.ogg").write_bytes(Path(clips[1][0]).read_bytes())
    assert run(tmp_path / "a.ogg", tmp_path / "b.ogg", "--out", tmp_path / "out")[0] == 0
    (tmp_path / "a.ogg").write_bytes(Path(clips[2][0]).read_bytes())
    os.utime(tmp_path / "a.ogg", (1, 1))
    assert "1 of 2 recordings are done" in run(tmp_path / "a.ogg", tmp_path / "b.ogg", "--out", tmp_path / "out")[2]
    assert run(tmp_path / "a.ogg", "--out", tmp_path / "out", "--window-s", 5, "--overwrite")[0] == 0
    status, _, said = run(tmp_path / "a.ogg", tmp_path / "b.ogg", "--out", tmp_path / "out", "--window-s", 5)
    assert status == 0 and "1 of 2 recordings are done" in said


def test_a_damaged_spot_ends_a_recording_and_keeps_what_was_heard(clips, loaded, tmp_path):
    whole = np.concatenate([decoded(path) for path, _, _ in clips] * 3)
    soundfile.write(tmp_path / "whole.flac", whole, RATE_HZ)
    content = bytearray((tmp_path / "whole.flac").read_bytes())
    content[2 * len(content) // 3 :] = bytes(len(content) - 2 * len(content) // 3)
    (tmp_path / "cut.flac").write_bytes(content)
    ((_, heard),) = Transcriber(loaded, "es").transcripts([str(tmp_path / "cut.flac")])
    assert heard.segments and heard.broken and 5 < heard.duration_s < len(whole) / RATE_HZ


def test_a_language_is_told_by_the_recording_alone(clips, loaded, monkeypatch, tmp_path):
    """Whatever is heard before it: by its own first windows."""
    pause = np.zeros(RATE_HZ, np.float32)
    long = np.concatenate([part for path, _, _ in clips for part in (decoded(path), pause)])
    soundfile.write(tmp_path / "long.wav", long, RATE_HZ)
    languages = set()
    monkeypatch.setattr("asr.transcription.recordings.POOL_SIZE", 4)
    for n_before in range(3):
        names = [path for path, _, _ in clips[:n_before]] + [str(tmp_path / "long.wav")]
        *_, (_, heard) = Transcriber(loaded).transcripts(names)
        languages.add((heard.language, heard.text))
    assert len(languages) == 1


def test_one_file_goes_to_the_terminal_and_a_pipe_is_read_to_its_end(clips, run):
    path = clips[0][0]
    status, text, _ = run(path, "--format", "srt")
    assert status == 0 and text.startswith("1\n00:00:0")
    assert run("-", "--format", "srt", stdin=Path(path).read_bytes())[:2] == (0, text)


def test_a_pipe_that_ends_early_is_heard_as_far_as_it_came(clips, run, tmp_path):
    whole = np.concatenate([decoded(path) for path, _, _ in clips])
    soundfile.write(tmp_path / "whole.wav", whole, RATE_HZ)
    content = (tmp_path / "whole.wav").read_bytes()
    status, _, said = run("-", "--format", "json", stdin=content[: len(content) // 2])
    assert status == 0
    assert "it ends early, after" in said and f"of the {len(whole) / RATE_HZ:.1f} s that its header promises" in said
    status, _, said = run("-", stdin=b"")
    assert status == 1 and "stdin: not transcribed, empty audio" in said


def test_what_is_no_speech_gets_a_line_and_an_empty_transcript(run, tmp_path):
    for name, samples in {"silence": np.zeros(50 * RATE_HZ), "click": np.full(16, 0.5)}.items():
        soundfile.write(tmp_path / f"{name}.wav", samples, RATE_HZ)
        status, text, said = run(tmp_path / f"{name}.wav")
        assert (status, text) == (0, "")
        assert f"{name}.wav: no speech in its {len(samples) / RATE_HZ:.2f} s" in said


def test_a_video_without_sound_is_named(run, tmp_path):
    path = tmp_path / "mute.mp4"
    with av.open(path, "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 32
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame(32, 32, "yuv420p")))
        container.mux(stream.encode())
    status, _, said = run(path)
    assert status == 1
    assert "mute.mp4: not transcribed, undecodable audio: there is no audio in it" in said


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["nowhere.wav"], "error: nowhere.wav: no such file or folder"),
        (["{clip}", "{clip2}"], "error: 2 recordings: name a folder for their transcripts with --out"),
        (["{clip}", "--language", "gd"], "its nearest relative is cy (Welsh)"),
        (["{clip}", "--model", "{tmp}/none"], "none: no such folder; name a checkpoint with --model"),
        (["{clip}", "--model", "{tmp}/bert"], "model_type is 'bert'; only whisper can be transcribed with here"),
        (["{tmp}"], "no recording in it"),
        (["{clip}", "--out", "{tmp}/bert/config.json/out"], "Not a directory"),
    ],
)
def test_what_a_user_can_mend_is_one_line(clips, run, scratch, tmp_path, monkeypatch, capfd, arguments, line):
    (tmp_path / "bert").mkdir()
    (tmp_path / "bert" / "config.json").write_text(json.dumps({"model_type": "bert"}))
    filled = [word.format(clip=clips[0][0], clip2=clips[1][0], tmp=tmp_path) for word in arguments]
    monkeypatch.setattr(sys, "argv", ["transcribe", "--model", str(scratch), *filled])
    with pytest.raises(SystemExit) as ended:
        transcribe.main()
    said = f"{ended.value.code}\n{capfd.readouterr().err}"
    assert line in said and "Traceback" not in said and len(str(ended.value.code).splitlines()) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="NO ROOT, so no disk could be filled")
def test_a_full_disk_keeps_the_finished_transcripts(clips, run, tmp_path):
    full = tmp_path / "full"
    full.mkdir()
    if os.system(f"mount -t tmpfs -o size=24k tmpfs {full} 2>/dev/null"):
        pytest.skip("NO TMPFS may be mounted here, so no disk could be filled")
    try:
        status, _, said = run(*[path for path, _, _ in clips], "--out", full, "--format", "json")
        assert status == 1 and "No space left on device; make room there" in said
        assert said.endswith("finished transcripts are kept\n")
        kept = [path for path in full.glob("*.json") if path.suffix == ".json"]
        assert 0 < len(kept) < len(clips) and all(json.loads(path.read_text())["segments"] for path in kept)
        assert not list(full.glob("*.part"))
    finally:
        os.system(f"umount {full}")


def test_an_unreadable_recording_is_a_value(loaded):
    ((_, outcome),) = Transcriber(loaded, "es").transcripts([os.devnull])
    assert isinstance(outcome, Failed)
