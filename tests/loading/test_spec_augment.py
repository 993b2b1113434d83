import numpy as np
import pytest

from asr.loading.spec_augment import mask
from asr.params import SpecAugment

MEL = np.random.default_rng(1).standard_normal((80, 1000)).astype(np.float32)
OWN = 300


def masked(rules, seed=(1, 0, 0), own_frames=OWN, mel=MEL):
    """The masked features, and where they differ from `mel`."""
    changed = mel.copy()
    mask(changed, own_frames, rules, seed)
    return changed, changed != mel


def test_without_masks_nothing_changes():
    assert not masked(SpecAugment())[1].any()


def test_a_mel_mask_covers_neighbouring_bins_over_the_clips_own_frames_with_its_mean():
    changed, where = masked(SpecAugment(mel_masks=1), seed=(1, 0, 1))
    bins = np.flatnonzero(where.any(axis=1))
    assert 0 < len(bins) <= 27 and len(bins) == bins[-1] - bins[0] + 1
    assert where[bins, :OWN].all() and not where[:, OWN:].any()
    np.testing.assert_allclose(changed[bins, :OWN], MEL[:, :OWN].mean(), rtol=1e-5)


def test_a_time_mask_covers_neighbouring_frames_in_all_bins():
    _, where = masked(SpecAugment(time_masks=1), seed=(1, 0, 1))
    frames = np.flatnonzero(where.any(axis=0))
    assert 0 < len(frames) <= 60 and len(frames) == frames[-1] - frames[0] + 1 < OWN
    assert where[:, frames].all()


def test_the_padding_is_never_masked_nor_counted_in_the_mean():
    loud = MEL.copy()
    loud[:, OWN:] = 1e6
    for seed in range(50):
        changed, where = masked(SpecAugment(mel_masks=2, time_masks=2), (1, 0, seed), mel=loud)
        assert not where[:, OWN:].any()
        assert changed[:, :OWN].max() < 10


@pytest.mark.parametrize(("own_frames", "widest"), [(1000, 100), (300, 60), (102, 20), (4, 0)])
def test_time_masks_are_as_wide_as_declared_but_never_over_a_fifth_of_the_clip(own_frames, widest):
    seeds = [(1, 0, n) for n in range(60 * (widest + 1))]
    widths = {int(masked(SpecAugment(time_masks=1), seed, own_frames)[1].any(axis=0).sum()) for seed in seeds}
    assert widths == {*range(widest + 1)}


def test_widths_and_places_are_uniform():
    bins = [np.flatnonzero(masked(SpecAugment(mel_masks=1, mel_mask_bins=3), (n,))[1].any(axis=1)) for n in range(2000)]
    widths = np.bincount([len(found) for found in bins], minlength=4)
    np.testing.assert_allclose(widths, 500, atol=80)
    firsts = np.array([found[0] for found in bins if len(found) == 3])
    assert (firsts.min(), firsts.max()) == (0, 77)
    assert firsts.mean() == pytest.approx(38.5, abs=4)


def test_the_seed_alone_decides_the_masks():
    rules = SpecAugment(mel_masks=2, time_masks=2)
    np.testing.assert_array_equal(masked(rules)[0], masked(rules)[0])
    assert len({masked(rules, (1, epoch, row))[0].tobytes() for epoch in (0, 1) for row in range(5)}) == 10


def test_a_clip_within_a_batch_is_masked_in_place_and_its_neighbours_stay():
    batch = np.stack([MEL] * 3)
    mask(batch[1], 1002, SpecAugment(mel_masks=2, time_masks=2), (1, 0, 0))  # two frames of a full clip are dropped
    assert [bool((mel != MEL).any()) for mel in batch] == [False, True, False]
    assert (batch[1] != MEL)[:, -1].any()


def test_more_bins_than_there_are_may_all_be_masked():
    widths = [masked(SpecAugment(mel_masks=1, mel_mask_bins=500), (n,))[1].any(axis=1).sum() for n in range(800)]
    assert max(widths) == 80
