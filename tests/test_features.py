import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import WhisperFeatureExtractor

from asr.features import HOP, MAX_FRAMES, MAX_SAMPLES, RATE_HZ, SILENCE, log_mel, mel_filters, n_frames, pad_log_mel
from tests.builders import decoded, speech_like

TOLERANCE = 2e-4  # the reference's own float32 transform is off by 8e-5


def reference(samples, n_mels=80):
    extractor = WhisperFeatureExtractor(feature_size=n_mels)
    return extractor(samples, sampling_rate=RATE_HZ, return_tensors="np").input_features[0]


def difference(samples, n_mels=80):
    return np.abs(pad_log_mel(log_mel(samples, n_mels), MAX_FRAMES) - reference(samples, n_mels)).max()


@pytest.mark.parametrize("n_mels", [80, 128])
def test_filters_are_those_of_the_reference(n_mels):
    np.testing.assert_allclose(
        mel_filters(n_mels), WhisperFeatureExtractor(feature_size=n_mels).mel_filters, atol=1e-12
    )


def test_real_clips_of_a_tenth_of_a_second_to_thirty_equal_the_reference(real_clips):
    clips = [decoded(path) for path, _, _ in real_clips]
    joined = np.concatenate(clips)
    clips += [joined[: round(duration_s * RATE_HZ)] for duration_s in (0.1, 0.5, 5, 10, 20, 29.99, 30)]
    assert max(len(clip) for clip in clips) == MAX_SAMPLES
    assert max(map(difference, clips)) < TOLERANCE


@pytest.mark.parametrize(
    "n_samples", [0, 1, 159, 160, 161, 200, 201, 16000, 479_759, 479_760, 479_840, 479_999, 480_000, 480_001, 500_000]
)
@pytest.mark.parametrize("kind", ["noise", "silence", "full scale", "offset"])
def test_lengths_and_levels_at_the_edges_equal_the_reference(n_samples, kind):
    rng = np.random.default_rng(n_samples)
    samples = {
        "noise": 0.1 * rng.standard_normal(n_samples),
        "silence": np.zeros(n_samples),
        "full scale": np.sign(np.sin(0.05 * np.arange(n_samples))),
        "offset": 0.5 + 0.01 * rng.standard_normal(n_samples),
    }[kind].astype(np.float32)
    assert difference(samples) < TOLERANCE


@settings(max_examples=25, deadline=None)
@given(n_samples=st.integers(0, 20_000), seed=st.integers(0, 99))
def test_only_the_kept_frames_carry_information(n_samples, seed):
    samples = speech_like(2.0, seed)[:n_samples]
    mel = log_mel(samples)
    assert mel.shape == (80, n_frames(len(samples))) and mel.dtype == np.float32
    assert np.all(reference(samples)[:, mel.shape[1] :] == reference(samples)[0, -1])


def test_an_empty_clip_is_two_frames_of_silence():
    np.testing.assert_allclose(log_mel(np.zeros(0, np.float32)), np.full((80, 2), SILENCE))


def test_padding_drops_the_frames_past_an_exactly_full_window():
    mel = log_mel(speech_like(10.0))
    assert mel.shape[1] == 10 * RATE_HZ // HOP + 2
    np.testing.assert_array_equal(pad_log_mel(mel, 1000), mel[:, :1000])
