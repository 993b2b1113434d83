"""Where speech is found: in recordings joined with pauses, in silence, in noise, and where it never pauses."""

import os
from itertools import pairwise

import numpy as np
import pytest
import torch

from asr.features import RATE_HZ
from asr.transcription.activity import FRAME, OVERLAP_S, Detector, _Held, passages
from tests.builders import decoded

PAUSE_S = 1.0


@pytest.fixture(scope="module")
def detector():
    return Detector()


@pytest.fixture(scope="module")
def joined(real_clips):
    """Ten people's clips with silence between them: the samples, and when each begins and ends."""
    parts, times, at = [], [], 0
    for path, _, _ in real_clips[:: len(real_clips) // 10][:10]:
        samples = decoded(path)
        times.append((at / RATE_HZ, (at + len(samples)) / RATE_HZ))
        pause = np.zeros(round(PAUSE_S * RATE_HZ), np.float32)
        parts += [samples, pause]
        at += len(samples) + len(pause)
    return np.concatenate(parts), times


def test_to_import_the_detector_leaves_torch_its_threads():
    assert torch.get_num_threads() == int(os.environ["OMP_NUM_THREADS"])


def test_the_shares_are_those_of_the_package_whatever_the_blocks(joined, detector):
    from silero_vad import load_silero_vad

    samples = joined[0][: 300 * FRAME]
    expected = load_silero_vad(sequence=True).audio_forward(samples)
    detector.reset()
    found = np.concatenate(
        [detector(samples[first : first + 7 * FRAME]) for first in range(0, len(samples), 7 * FRAME)]
    )
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_each_passage_lies_in_one_clip_and_almost_none_is_missed(joined, detector):
    samples, times = joined
    found = list(passages([samples], detector, longest_s=10))
    for passage in found:
        overlaps = [min(passage.end_s, end_s) - max(passage.start_s, start_s) for start_s, end_s in times]
        assert max(overlaps) > 0 and sum(overlap > 0 for overlap in overlaps) == 1
    heard_in = {number for number, (a, b) in enumerate(times) for p in found if p.start_s < b and p.end_s > a}
    assert len(heard_in) >= len(times) - 1
    np.testing.assert_array_equal(
        found[0].samples, samples[round(found[0].start_s * RATE_HZ) :][: len(found[0].samples)]
    )


def test_passages_do_not_depend_on_the_blocks_nor_on_how_much_is_held(joined, detector):
    samples, _ = joined
    whole = list(passages([samples], detector, longest_s=10))
    blocks = np.array_split(samples, 37)
    pieces = list(passages(blocks, detector, longest_s=10, chapter_s=2))
    assert [round(p.start_s, 1) for p in pieces] == [round(p.start_s, 1) for p in whole]
    assert all(abs(a.end_s - b.end_s) <= 2 * FRAME / RATE_HZ for a, b in zip(whole, pieces, strict=True))


@pytest.mark.parametrize("chapter_s", [4, 60])
def test_speech_without_a_breath_is_cut_into_windows_that_overlap(joined, detector, chapter_s):
    samples, times = joined
    longest = max(times, key=lambda time: time[1] - time[0])
    vowel = samples[round(longest[0] * RATE_HZ) : round(longest[1] * RATE_HZ)]
    detector.reset()
    shares = detector(vowel[: len(vowel) // FRAME * FRAME])
    loudest = vowel[int(np.argmax(np.convolve(shares, np.ones(8), "valid"))) * FRAME :][: 8 * FRAME]
    without_breath = np.tile(np.concatenate((loudest, loudest[::-1])), 50)
    found = list(passages([without_breath], detector, longest_s=5, chapter_s=chapter_s))
    assert all(p.end_s - p.start_s <= 5.01 for p in found)
    cut = [p for p in found if p.overlap_s]
    assert cut and all(p.overlap_s == OVERLAP_S for p in cut)
    for before, after in pairwise(found):
        if after.overlap_s:
            assert before.end_s - after.start_s == pytest.approx(OVERLAP_S, abs=2 * FRAME / RATE_HZ)


def test_what_is_held_does_not_grow_with_silence(joined, detector):
    detector.reset()
    held = _Held(detector, 10)
    held.add(joined[0])
    list(held.ended())
    for _ in range(5):
        held.add(np.zeros(60 * RATE_HZ, np.float32))
        assert len(list(held.ended())) <= 1
        assert len(held._samples) < 3 * RATE_HZ and len(held._shares) * FRAME < 3 * RATE_HZ


def test_a_window_of_a_second_is_kept_to(joined, detector):
    found = list(passages([joined[0]], detector, longest_s=1))
    assert all(p.end_s - p.start_s <= 1.3 for p in found)
    assert sum(p.end_s - p.start_s - p.overlap_s for p in found) < len(joined[0]) / RATE_HZ


@pytest.mark.parametrize("length_s", [0, 0.001, 3, 90])
def test_nothing_is_found_in_silence(detector, length_s):
    assert list(passages([np.zeros(round(length_s * RATE_HZ), np.float32)], detector, longest_s=10)) == []


def test_nothing_is_found_in_a_tone_or_in_noise(detector):
    t = np.arange(40 * RATE_HZ) / RATE_HZ
    tone = 0.3 * np.sin(2 * np.pi * 440 * t).astype(np.float32)
    noise = 0.05 * np.random.default_rng(0).standard_normal(len(t)).astype(np.float32)
    assert sum(p.end_s - p.start_s for sound in (tone, noise) for p in passages([sound], detector, 10)) < 2


def test_a_recording_that_fits_into_a_window_is_heard_whole(real_clips, detector):
    samples = decoded(real_clips[0][0])
    (passage,) = passages([samples[:5000], samples[5000:]], detector, longest_s=10)
    assert passage.start_s == 0 and len(passage.samples) == len(samples)
