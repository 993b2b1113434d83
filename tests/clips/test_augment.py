import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from asr.clips.augment import KINDS, NOISE_SNR_DB, REVERBERATION_RT60_S, _mu_law, augmented
from asr.features import RATE_HZ
from asr.params import Audio
from tests.builders import speech_like

SPEECH = speech_like(3.0)


def level_db(samples):
    return 10 * np.log10(np.mean(np.square(samples, dtype=np.float64)))


def share_of_energy(samples, low_hz, high_hz):
    spectrum = np.abs(np.fft.rfft(samples)) ** 2
    frequency_hz = np.fft.rfftfreq(len(samples), 1 / RATE_HZ)
    return spectrum[(frequency_hz >= low_hz) & (frequency_hz < high_hz)].sum() / spectrum.sum()


def test_each_kind_that_params_names_is_one_of_these():
    assert Audio(augment=list(KINDS)).augment == list(KINDS)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [1, 2, 159, 8001, 48_000])
def test_a_copy_has_the_length_of_its_original_and_none_over_full_scale(kind, n):
    loud = np.clip(20 * SPEECH[:n], -1, 1)
    for samples in (loud, np.zeros(n, np.float32)):
        copy = augmented(samples, kind, "id")
        assert copy.shape == samples.shape and copy.dtype == np.float32
        assert np.isfinite(copy).all() and np.abs(copy).max() <= 1.0


@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_is_a_function_of_its_seed(kind):
    assert np.array_equal(augmented(SPEECH, kind, "a"), augmented(SPEECH, kind, "a"))
    assert np.array_equal(augmented(SPEECH, kind, "a"), augmented(SPEECH, kind, "b")) == (kind == "telephone")


def test_what_the_telephones_band_lifts_over_full_scale_is_full_scale():
    """libsndfile reads past the end of its table for such samples."""
    received = _mu_law(np.array([0.0, 0.5, 1.0, 1.02, 1.5, -1.1]))
    np.testing.assert_allclose(received, [0.0, 0.5, 0.98, 0.98, 0.98, -0.98], atol=0.02)


def test_noise_lies_under_the_speech_by_what_was_drawn():
    snr_db = [level_db(SPEECH) - level_db(augmented(SPEECH, "noise", str(n)) - SPEECH) for n in range(50)]
    assert NOISE_SNR_DB[0] - 0.1 < min(snr_db) < 8 and 22 < max(snr_db) < NOISE_SNR_DB[1] + 0.1


def test_noise_falls_by_three_decibels_an_octave():
    added = np.concatenate([augmented(SPEECH, "noise", str(n)) - SPEECH for n in range(10)])
    octaves = [share_of_energy(added, low, 2 * low) for low in (250, 500, 1000, 2000)]
    np.testing.assert_allclose(octaves, np.mean(octaves), rtol=0.15)


def test_a_room_keeps_the_direct_path_where_it_was_and_the_level():
    click = np.zeros(2 * RATE_HZ, np.float32)
    click[1000] = 0.5
    for n in range(20):
        copy = augmented(click, "reverberation", str(n))
        assert np.argmax(np.abs(copy)) == 1000 and not np.abs(copy[:1000]).max() > 1e-6
        assert level_db(augmented(SPEECH, "reverberation", str(n))) == pytest.approx(level_db(SPEECH), abs=0.01)


def test_a_room_dies_away_within_its_reverberation_time():
    click = np.zeros(2 * RATE_HZ, np.float32)
    click[0] = 1.0
    rt60_s = []
    for n in range(30):
        tail = np.square(augmented(click, "reverberation", str(n)), dtype=np.float64)[100:]
        left_db = 10 * np.log10(np.cumsum(tail[::-1])[::-1] / tail.sum() + 1e-12)  # Schroeder's curve
        rt60_s.append(2 * (np.argmax(left_db < -35) - np.argmax(left_db < -5)) / RATE_HZ)
    assert REVERBERATION_RT60_S[0] * 0.8 < min(rt60_s) < 0.4 and 0.6 < max(rt60_s) < REVERBERATION_RT60_S[1] * 1.2


def test_a_telephone_leaves_its_band_in_place_and_little_else():
    rng = np.random.default_rng(0)
    hiss = 0.1 * rng.standard_normal(RATE_HZ).astype(np.float32)
    assert share_of_energy(augmented(hiss, "telephone", ""), 250, 3500) > 0.98
    time_s = np.arange(RATE_HZ) / RATE_HZ
    tone = (0.5 * np.sin(2 * np.pi * 1000 * time_s)).astype(np.float32)
    error = (augmented(tone, "telephone", "") - tone)[500:-500]
    assert -45 < level_db(error) - level_db(tone) < -30  # the codec's own: 38 dB


def test_copies_have_the_same_bytes_on_other_processors():
    code = (
        "import hashlib; from asr.clips.augment import KINDS, augmented; from tests.builders import speech_like\n"
        "speech = speech_like(2.0)\n"
        "print(hashlib.sha256(b''.join(augmented(speech, kind, 'id').tobytes() for kind in KINDS)).hexdigest())"
    )
    here = hashlib.sha256(b"".join(augmented(speech_like(2.0), kind, "id").tobytes() for kind in KINDS)).hexdigest()
    older = {"OPENBLAS_CORETYPE": "Prescott", "NPY_DISABLE_CPU_FEATURES": "AVX512F AVX512_SKX"}
    root = Path(__file__).parents[2]
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, env={**os.environ, **older}, cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == here
