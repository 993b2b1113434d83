import numpy as np
import pytest
import soundfile
import soxr

from asr.audio import BadAudio, read_clip, recording
from asr.features import RATE_HZ
from asr.params import Audio
from tests.builders import speech_like

RULES = Audio()


def clip_of(path, start_s=0.0, duration_s=None, rules=RULES):
    with recording(str(path)) as file:
        return read_clip(file, start_s, duration_s, rules)


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
    clip = clip_of(wav(samples, subtype="FLOAT"))
    np.testing.assert_array_equal(clip.samples, samples)
    assert clip.duration_s == 1.0
    assert clip.peak == pytest.approx(np.abs(samples).max())
    assert clip.rms == pytest.approx(np.sqrt(np.mean(samples**2)))
    assert clip.clipped_share == 0


@pytest.mark.parametrize("rate_hz", [8000, 22050, 44100, 48000])
def test_other_rates_are_resampled_by_soxr(wav, rate_hz):
    samples = speech_like(1.0, rate_hz=rate_hz)
    clip = clip_of(wav(samples, rate_hz, subtype="FLOAT"))
    np.testing.assert_array_equal(clip.samples, soxr.resample(samples, rate_hz, RATE_HZ))
    assert len(clip.samples) == pytest.approx(RATE_HZ, abs=1)


def test_channels_are_mixed(wav):
    left, right = speech_like(0.5, 1), speech_like(0.5, 2)
    clip = clip_of(wav(np.stack([left, right], axis=1), subtype="FLOAT"))
    np.testing.assert_allclose(clip.samples, (left + right) / 2, atol=1e-7)


def test_a_piece_is_read_by_seeking(wav):
    samples = speech_like(3.0)
    clip = clip_of(wav(samples, subtype="FLOAT"), start_s=1.0, duration_s=0.5)
    np.testing.assert_array_equal(clip.samples, samples[16000:24000])


def test_equal_audio_has_an_equal_digest_whatever_its_file(wav):
    samples = np.rint(speech_like(1.0) * 32767) / 32768
    digests = {clip_of(wav(samples, name=name)).digest for name in ("a.wav", "b.flac")}
    assert len(digests) == 1
    assert clip_of(wav(samples[:-1])).digest not in digests


def test_each_kind_of_bad_audio_has_its_reason(wav, tmp_path):
    (tmp_path / "nothing.wav").touch()
    (tmp_path / "text.wav").write_text("this is no audio")
    nan = speech_like(1.0)
    nan[100] = np.nan
    assert reason_of(tmp_path / "absent.wav") == "missing audio"
    assert reason_of(tmp_path / "nothing.wav") == "empty audio"
    assert reason_of(tmp_path / "text.wav") == "undecodable audio"
    assert reason_of(tmp_path) == "undecodable audio"
    assert reason_of(wav(np.zeros(0))) == "empty audio"
    assert reason_of(wav(speech_like(0.05))) == "too short"
    assert reason_of(wav(speech_like(30.1))) == "too long"
    assert reason_of(wav(np.zeros(16000))) == "silent"
    assert reason_of(wav(nan, subtype="FLOAT")) == "not a number"
    assert reason_of(wav(speech_like(1.0)), start_s=2.0) == "empty audio"


def test_the_bounds_themselves_are_allowed(wav):
    assert clip_of(wav(speech_like(30.0))).duration_s == 30.0
    assert clip_of(wav(speech_like(0.1))).duration_s == pytest.approx(0.1)


def test_a_piece_of_a_long_recording_is_not_too_long(wav):
    assert clip_of(wav(speech_like(40.0)), start_s=35.0, duration_s=2.0).duration_s == 2.0
