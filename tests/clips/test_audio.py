import numpy as np
import pytest
import soundfile
import soxr

from asr.clips.audio import Piece, clip, read_piece
from asr.clips.recordings import BadAudio, recording
from asr.features import RATE_HZ
from asr.params import Audio
from tests.builders import speech_like
from tests.recorded import without_flac_length

RULES = Audio()


def clip_of(path, start_s=0.0, duration_s=None, rules=RULES, speed=1.0):
    with recording(str(path)) as file:
        return clip(read_piece(file, start_s, duration_s, rules.max_s * speed), rules, speed)


def reason_of(path, *args, **kwargs):
    with pytest.raises(BadAudio) as caught:
        clip_of(path, *args, **kwargs)
    assert caught.value.detail
    return caught.value.reason


@pytest.fixture
def wav(tmp_path):
    def write(samples, rate_hz=RATE_HZ, name="clip.wav", **kwargs):
        soundfile.write(tmp_path / name, samples, rate_hz, **kwargs)
        return tmp_path / name

    return write


def test_sixteen_kilohertz_come_back_as_they_are(wav):
    samples = speech_like(1.0)
    spoken = clip_of(wav(samples, subtype="FLOAT"))
    np.testing.assert_array_equal(spoken.samples, samples)
    assert spoken.duration_s == 1.0
    assert spoken.peak == pytest.approx(np.abs(samples).max())
    assert spoken.rms == pytest.approx(np.sqrt(np.mean(samples**2)))
    assert spoken.clipped_share == 0


def test_the_ends_are_measured_apart_from_the_rest(wav):
    quiet, loud = np.zeros(800, np.float32), np.full(800, 0.5, np.float32)  # 0.05 s each
    spoken = clip_of(wav(np.concatenate([loud, quiet, quiet, loud / 2]), subtype="FLOAT"))
    assert (spoken.head_rms, spoken.tail_rms) == (0.5, 0.25)
    short = clip_of(wav(np.full(1600, 0.1, np.float32), name="short.wav", subtype="FLOAT"))
    assert short.head_rms == short.tail_rms == pytest.approx(0.1)


@pytest.mark.parametrize("rate_hz", [8000, 22050, 44100, 48000])
def test_other_rates_are_resampled_by_soxr(wav, rate_hz):
    samples = speech_like(1.0, rate_hz=rate_hz)
    spoken = clip_of(wav(samples, rate_hz, subtype="FLOAT"))
    np.testing.assert_array_equal(spoken.samples, soxr.resample(samples, rate_hz, RATE_HZ))
    assert len(spoken.samples) == pytest.approx(RATE_HZ, abs=1)


@pytest.mark.parametrize("speed", [0.9, 1.1, 2.0])
def test_another_speed_changes_length_and_pitch(speed):
    time_s = np.arange(2 * 44_100) / 44_100
    tone = np.sin(2 * np.pi * 440 * time_s).astype(np.float32)
    spoken = clip(Piece(tone, 44_100), RULES, speed)
    assert spoken.duration_s == pytest.approx(2 / speed, abs=1e-4)
    spectrum = np.abs(np.fft.rfft(spoken.samples * np.hanning(len(spoken.samples))))
    assert np.argmax(spectrum) / spoken.duration_s == pytest.approx(440 * speed, abs=1)


def test_duration_is_limited_after_the_speed(wav):
    path = wav(speech_like(28.0))
    assert clip_of(path).duration_s == 28
    assert reason_of(path, speed=0.9) == "too long"
    path = wav(speech_like(32.0))
    assert reason_of(path) == "too long"
    assert clip_of(path, speed=1.1).duration_s == pytest.approx(32 / 1.1, abs=1e-4)
    with pytest.raises(BadAudio, match="too long"):
        clip(Piece(speech_like(28.0), RATE_HZ), RULES, 0.9)
    with pytest.raises(BadAudio, match="too short"):
        clip(Piece(speech_like(0.15), RATE_HZ), RULES, 2.0)


def test_a_copy_is_measured_as_it_is_and_refused_as_its_original(wav):
    piece = Piece(speech_like(1.0), RATE_HZ)
    original, copy = clip(piece, RULES), clip(piece, RULES, augment="noise", seed="a~noise")
    assert original.digest != copy.digest and original.rms < copy.rms
    assert copy.peak == np.abs(copy.samples).max()
    with pytest.raises(BadAudio, match="silent"):
        clip(Piece(np.zeros(RATE_HZ, np.float32), RATE_HZ), RULES, augment="noise", seed="a~noise")


def test_a_piece_is_read_by_seeking(wav):
    samples = speech_like(3.0)
    spoken = clip_of(wav(samples, subtype="FLOAT"), start_s=1.0, duration_s=0.5)
    np.testing.assert_array_equal(spoken.samples, samples[16000:24000])


def test_equal_audio_has_an_equal_digest_whatever_its_file(wav):
    samples = np.rint(speech_like(1.0) * 32767) / 32768
    digests = {clip_of(wav(samples, name=name)).digest for name in ("a.wav", "b.flac")}
    assert len(digests) == 1
    assert clip_of(wav(samples[:-1])).digest not in digests


def test_the_bounds_themselves_are_allowed(wav):
    for rate_hz in (16_000, 22_050, 44_100):
        assert clip_of(wav(speech_like(30.0, rate_hz=rate_hz), rate_hz)).duration_s == pytest.approx(30.0, abs=1e-4)
        assert clip_of(wav(speech_like(0.1, rate_hz=rate_hz), rate_hz)).duration_s == pytest.approx(0.1, abs=1e-4)


def test_a_piece_of_a_long_recording_is_not_too_long(wav):
    path = wav(speech_like(40.0))
    assert clip_of(path, start_s=35.0, duration_s=2.0).duration_s == 2.0
    assert clip_of(path, start_s=35.0).duration_s == 5.0
    assert reason_of(path, start_s=2.0) == "too long"
    assert reason_of(path, start_s=2.0, duration_s=31.0) == "too long"


def test_a_piece_may_lack_half_a_second_of_what_was_declared(wav):
    path = wav(speech_like(5.0))
    assert clip_of(path, 4.0, 1.4).duration_s == pytest.approx(1.0)
    assert reason_of(path, 4.0, 1.6) == "cut short"
    assert reason_of(path, 5.0, 1.0) == "empty audio"
    with pytest.raises(BadAudio, match=r"the last 1\.50 s are missing: the recording ends at 5\.00 s"):
        clip_of(path, 4.5, 2.0)


def test_no_more_is_decoded_than_is_used(wav, tmp_path, monkeypatch):
    """Neither of a recording that says it lasts for hours, nor of one that doesn't say."""
    asked = []
    path = wav(speech_like(60.0), name="long.flac")
    path.write_bytes(without_flac_length(path.read_bytes()))
    with recording(str(path)) as file:
        read = file.read
        monkeypatch.setattr(file, "read", lambda start, n: asked.append(n) or read(start, n))
        with pytest.raises(BadAudio, match="too long"):
            read_piece(file, 0.0, None, 30.0)
    assert asked == [30 * RATE_HZ + 1]
