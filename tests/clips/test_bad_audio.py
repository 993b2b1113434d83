"""Recordings as nobody wants them: each ends as one reject with its reason, soon, and in bounded memory."""

import os
import re
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.clips.audio import clip, read_piece
from asr.clips.recordings import BadAudio, recording
from asr.params import Audio
from tests.builders import speech_like
from tests.recorded import encode, pcm, wav_header

ROOT = Path(__file__).parents[2]
SPEECH = speech_like(2.0)
LONG = speech_like(10.0)
HOURS_S = 10 * 3600
SOON_S = 5
MOST_MB = 200


def sound(name, samples=SPEECH, rate_hz=16_000, cut=1.0, **how):
    """Writes a recording, of which the share `cut` is kept."""

    def make(folder):
        soundfile.write(folder / name, samples, rate_hz, **how)
        keep(folder / name, cut)
        return folder / name

    return make


def container(name, codec, cut):
    def make(folder):
        keep(encode(folder / name, codec, LONG, 16_000), cut)
        return folder / name

    return make


def keep(path, cut):
    content = path.read_bytes()
    path.write_bytes(content[: round(cut * len(content))])


def content(name, content):
    def make(folder):
        (folder / name).write_bytes(content)
        return folder / name

    return make


def damaged(name):
    def make(folder):
        path = sound(name, LONG)(folder)
        intact = path.read_bytes()
        half = len(intact) // 2
        path.write_bytes(intact[:half] + np.random.default_rng(0).bytes(4000) + intact[half + 4000 :])
        return path

    return make


def hours_of_wav(folder):
    """A file with a hole, which takes no room on the disk."""
    n_bytes = HOURS_S * 16_000 * 2
    with (folder / "hours.wav").open("wb") as file:
        file.write(wav_header(n_bytes) + pcm(SPEECH))
        file.truncate(44 + n_bytes)
    return folder / "hours.wav"


def hours_of_channels(folder):
    """An hour of 32 channels at 192 kHz: 44 GB that are not there."""
    n_bytes = 0xFFFFFFFF
    with (folder / "wide.wav").open("wb") as file:
        file.write(wav_header(n_bytes, 192_000, 32))
        file.truncate(44 + 3600 * 192_000 * 64)
    return folder / "wide.wav"


def link(target):
    def make(folder):
        (folder / "link.wav").symlink_to(target)
        return folder / "link.wav"

    return make


def pipe(folder):
    os.mkfifo(folder / "pipe.wav")
    return folder / "pipe.wav"


TABLE = [
    (content("empty.wav", b""), "empty audio"),
    (content("text.wav", b"this is no audio\n" * 1000), "undecodable audio"),
    (content("page.mp3", b"<!DOCTYPE html><html><body>404</body></html>"), "undecodable audio"),
    (content("list.m4a", b"#EXTM3U\n#EXTINF:9,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"), "undecodable audio"),
    (content("noise.wav", np.random.default_rng(0).bytes(100_000)), "undecodable audio"),
    (content("zeros.wav", bytes(100_000)), "undecodable audio"),
    (content("header.wav", wav_header(0)), "empty audio"),
    (content("half-a-header.wav", wav_header(1000)[:30]), "undecodable audio"),
    (sound("none.wav", np.zeros(0)), "empty audio"),
    (sound("none.flac", np.zeros(0)), "empty audio"),
    (content("0hz.wav", wav_header(64_000, rate_hz=0) + pcm(SPEECH)), "undecodable audio"),
    (content("1hz.wav", wav_header(64_000, rate_hz=1) + pcm(SPEECH)), "undecodable audio"),
    (content("2ghz.wav", wav_header(64_000, rate_hz=0x7FFFFFFF) + pcm(SPEECH)), "undecodable audio"),
    (content("4ghz.wav", wav_header(64_000, rate_hz=0xFFFFFFFF) + pcm(SPEECH)), "undecodable audio"),
    (content("no-channel.wav", wav_header(64_000, n_channels=0) + pcm(SPEECH)), "undecodable audio"),
    (content("33-channels.wav", wav_header(66_000, n_channels=33) + bytes(66_000)), "undecodable audio"),
    (content("1024-channels.wav", wav_header(204_800, n_channels=1024) + bytes(204_800)), "undecodable audio"),
    (content("no-bits.wav", wav_header(64_000, bits=0) + pcm(SPEECH)), "undecodable audio"),
    (content("no-codec.wav", wav_header(64_000, kind=0x7777) + pcm(SPEECH)), "undecodable audio"),
    (sound("cut.flac", LONG, cut=0.5), "undecodable audio"),
    (sound("cut.mp3", LONG, cut=0.5), "cut short"),
    (container("cut.m4a", "aac", 0.5), "undecodable audio"),  # its index is at the end
    (container("cut.webm", "libopus", 0.5), "cut short"),
    (damaged("damaged.flac"), "undecodable audio"),
    (damaged("damaged.mp3"), "undecodable audio"),
    (sound("nan.wav", np.where(np.arange(16_000) == 99, np.nan, 0.1), subtype="FLOAT"), "not a number"),
    (sound("inf.wav", np.where(np.arange(22_050) == 99, np.inf, 0.1), 22_050, subtype="DOUBLE"), "not a number"),
    (sound("silence.wav", np.zeros(16_000)), "silent"),
    (sound("short.wav", SPEECH[:1000]), "too short"),
    (hours_of_wav, "too long"),
    (hours_of_channels, "too long"),
    (lambda folder: folder, "missing audio"),
    (lambda folder: folder / "absent.wav", "missing audio"),
    (lambda folder: folder / ("long" * 100), "missing audio"),
    (link("absent.wav"), "missing audio"),
    (link("link.wav"), "missing audio"),
    (pipe, "missing audio"),
    (lambda folder: Path("/dev/zero"), "missing audio"),
    (lambda folder: Path("/dev/null"), "missing audio"),
    (lambda folder: f"{folder}/a\0b.wav", "missing audio"),
    (lambda folder: f"{folder}/\ud800.wav", "missing audio"),
]


def peak_kb(forget=False):
    """The most memory that this process has held since it was last asked to `forget` (Linux's VmHWM)."""
    if forget:
        Path("/proc/self/clear_refs").write_text("5")
    return int(re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())[1])


@pytest.mark.parametrize(("make", "reason"), TABLE)
def test_each_is_rejected_with_its_reason_soon_and_in_little_memory(tmp_path, make, reason):
    path = str(make(tmp_path))
    n_open, started_s = len(os.listdir("/proc/self/fd")), time.monotonic()
    before_kb = peak_kb(forget=True)
    with pytest.raises(BadAudio) as caught, recording(path) as file:
        clip(read_piece(file, 0.0, None, 30.0), Audio())
    assert caught.value.reason == reason
    assert caught.value.detail and "\n" not in caught.value.detail
    caught.value.detail.encode()
    assert time.monotonic() - started_s < SOON_S
    assert peak_kb() - before_kb < MOST_MB * 1024
    assert len(os.listdir("/proc/self/fd")) <= n_open  # a test before may leave some to the collector


def test_a_cut_that_cannot_be_seen_is_used(tmp_path):
    """Ogg says its length in its last page alone."""
    with recording(str(sound("cut.ogg", LONG, cut=0.5)(tmp_path))) as file:
        assert 3 < clip(read_piece(file, 0.0, None, 30.0), Audio()).duration_s < 6


@pytest.mark.parametrize(("name", "long_s"), [("hours.wav", HOURS_S), ("hours.flac", HOURS_S), ("hour.m4a", 3600)])
def test_a_piece_of_hours_is_read_soon_and_all_of_them_refused_soon(tmp_path, name, long_s):
    path, rate_hz = tmp_path / name, 4_000
    silence = np.zeros(rate_hz * long_s, np.float32 if name.endswith("m4a") else np.int16)
    if name == "hours.wav":
        path = hours_of_wav(tmp_path)
    elif name == "hours.flac":
        soundfile.write(path, silence, rate_hz, compression_level=0)
    else:
        encode(path, "alac", silence, rate_hz)
    started_s = time.monotonic()
    with recording(str(path)) as file:
        assert len(read_piece(file, long_s - 10, 5.0, 30.0).samples) == 5 * file.rate_hz
        with pytest.raises(BadAudio, match="too long"):
            read_piece(file, 0.0, None, 30.0)
    assert time.monotonic() - started_s < SOON_S


def test_what_nobody_may_read_is_missing(tmp_path):
    path = sound("secret.wav")(tmp_path)
    path.chmod(0)
    if os.access(path, os.R_OK) and os.geteuid() != 0:
        pytest.skip("NOT TESTED: this file system lets everyone read")
    code = (
        "import os, sys\n"
        "from asr.clips.recordings import BadAudio, recording\n"
        "if os.geteuid() == 0: os.setgroups([]), os.setgid(65534), os.setuid(65534)\n"
        "try:\n"
        "    with recording(sys.argv[1]): print('read')\n"
        "except BadAudio as bad: print(bad.reason, '|', bad.detail)"
    )
    for folder in (tmp_path, *tmp_path.parents):
        if folder != folder.parent and folder.stat().st_uid == os.geteuid() and str(folder).startswith("/tmp/"):
            folder.chmod(0o755)
    done = subprocess.run([sys.executable, "-c", code, str(path)], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.startswith("missing audio | ") and done.stdout.endswith("Permission denied\n"), done.stderr


def test_a_broken_piece_does_not_spoil_the_next(tmp_path):
    path = damaged("damaged.flac")(tmp_path)
    with recording(str(path)) as file:
        first = read_piece(file, 0.5, 1.0, 30.0).samples
        with pytest.raises(BadAudio):
            read_piece(file, 4.0, 3.0, 30.0)
        np.testing.assert_array_equal(read_piece(file, 0.5, 1.0, 30.0).samples, first)


def test_a_machine_out_of_files_is_no_reject(tmp_path):
    """The next run would not try it again."""
    path = sound("clip.wav")(tmp_path)
    limit, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, most))
    try:
        with pytest.raises(OSError, match="Too many open files"), recording(str(path)):
            pass
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, most))
