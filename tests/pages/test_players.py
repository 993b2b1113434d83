"""asr/pages/players.py: sound that a page can play, and a reason wherever there is none."""

import base64
import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile

from asr.corpora import manifest
from asr.pages.players import BITS_PER_SECOND, Player, players
from asr.utterances import Block, Utterance
from tests.builders import speech_like


def utterance(name: str, audio: Path, **times: float) -> Utterance:
    return Utterance(name, str(audio), "text", "en", "test", **times)


def sound(player: Player) -> tuple[np.ndarray, int]:
    head, _, body = player.uri.partition(",")
    assert head == "data:audio/mpeg;base64"
    return soundfile.read(io.BytesIO(base64.b64decode(body)))


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """3 s at 44.1 kHz: silence, then a tone in its last second."""
    samples = np.zeros(3 * 44_100)
    samples[2 * 44_100 :] = 0.5 * np.sin(2 * np.pi * 440 * np.arange(44_100) / 44_100)
    soundfile.write(tmp_path / "recording.flac", samples, 44_100)
    return tmp_path / "recording.flac"


def test_a_piece_of_a_recording_is_played_and_nothing_around_it(tmp_path: Path, recording: Path) -> None:
    rows = [utterance("loud", recording, start_s=2.0, duration_s=1.0), utterance("quiet", recording, duration_s=1.5)]
    manifest.write(rows, tmp_path)
    made = players(tmp_path, ["quiet", "loud"])
    assert list(made) == ["quiet", "loud"]
    (loud, rate_hz), (quiet, _) = sound(made["loud"]), sound(made["quiet"])
    assert rate_hz == 16_000
    assert len(loud) == pytest.approx(rate_hz, rel=0.15)  # MP3 pads to whole frames
    assert np.sqrt(np.mean(loud**2)) == pytest.approx(0.35, rel=0.15)
    assert np.abs(quiet).max() < 0.01


def test_audio_that_a_dataset_embeds_is_played(tmp_path: Path, recording: Path) -> None:
    pq.write_table(pa.table({"audio": [b"junk", recording.read_bytes()]}), tmp_path / "data.parquet")
    block = Block(str(tmp_path / "data.parquet"), 0, "audio")
    rows = [Utterance(name, str(block), "text", "en", "test", row=row) for row, name in enumerate(["junk", "good"])]
    manifest.write(rows, tmp_path)
    made = players(tmp_path, ["good", "junk"])
    assert len(sound(made["good"])[0]) == pytest.approx(3 * 16_000, rel=0.05)
    assert "undecodable audio" in made["junk"].reason


def test_equal_sound_is_equal_bytes_and_as_small_as_said(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "speech.wav", speech_like(10), 16_000)
    manifest.write([utterance("a", tmp_path / "speech.wav"), utterance("b", tmp_path / "speech.wav")], tmp_path)
    made = players(tmp_path, ["a", "b"])
    assert made["a"] == made["b"]
    assert len(made["a"].uri) * 6 / 10 == pytest.approx(BITS_PER_SECOND, rel=0.05)


def test_whatever_is_wrong_with_a_recording_is_a_reason(tmp_path: Path, recording: Path) -> None:
    (tmp_path / "junk.wav").write_bytes(b"junk")
    rows = [
        utterance("gone", tmp_path / "gone.wav"),
        utterance("junk", tmp_path / "junk.wav"),
        utterance("cut", recording, duration_s=9.0),
        utterance("store", Path("nosuch://bucket/a.wav")),
        utterance("good", recording),
    ]
    manifest.write(rows, tmp_path)
    made = players(tmp_path, ["gone", "junk", "cut", "store", "foreign", "good"])
    assert [bool(player.uri) for player in made.values()] == [False] * 5 + [True]
    assert "missing audio" in made["gone"].reason
    assert "undecodable audio" in made["junk"].reason
    assert "cut short" in made["cut"].reason
    assert made["store"].reason
    assert made["foreign"].reason == "the manifest does not name it"


def test_a_missing_manifest_is_a_reason_too(tmp_path: Path) -> None:
    assert "manifest" in players(tmp_path / "gone", ["a"])["a"].reason
    assert players(tmp_path / "gone", []) == {}


def test_clips_that_would_make_the_page_too_large_are_left_out(tmp_path: Path, recording: Path) -> None:
    rows = [utterance(name, recording, duration_s=1.0) for name in "ab"] + [
        utterance("short", recording, duration_s=0.2)
    ]
    manifest.write(rows, tmp_path)
    made = players(tmp_path, ["a", "b", "short"], max_bytes=6_000)
    assert made["a"].uri
    assert made["b"].reason == "the page would become too large"
    assert made["short"].uri
