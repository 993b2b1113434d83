"""Padded log-Mel -> the same with some bands of mel bins and of time masked, within the clip's own frames.

SpecAugment (Park et al. 2019, https://arxiv.org/abs/1904.08779) without its time warping, which the paper found to
matter least. Axes: M mel bins, T frames.
"""

import numpy as np
from numpy.typing import NDArray

from asr.features import FRAMES_PER_SECOND
from asr.params import SpecAugment

TIME_SHARE = 5  # a time mask covers at most a fifth of the clip, so that short ones keep their words


def mask(mel: NDArray[np.float32], own_frames: int, rules: SpecAugment, seed: tuple[int, ...]) -> None:
    """Masks `mel` (M, T) in place, of which the first `own_frames` are the clip's and the rest is padding.

    Widths are uniform from none to the most that `rules` allow, places uniform where the mask fits. What is masked
    becomes the mean of the clip. In the paper that is 0, because its features are centred. Whisper's follow the clip's
    loudness: 0, which transformers fills in, is near the floor of a loud clip and near the peak of a quiet one.
    """
    own = mel[:, :own_frames]
    n_mels, n_frames = own.shape
    widest_mel = min(rules.mel_mask_bins, n_mels)
    widest_time = min(round(rules.time_mask_s * FRAMES_PER_SECOND), n_frames // TIME_SHARE)
    fill = own.mean()
    drawn = np.random.default_rng(seed).random((rules.mel_masks + rules.time_masks, 2)).tolist()
    for width, place in drawn[: rules.mel_masks]:
        own[_band(width, place, widest_mel, n_mels)] = fill
    for width, place in drawn[rules.mel_masks :]:
        own[:, _band(width, place, widest_time, n_frames)] = fill


def _band(width: float, place: float, widest: int, size: int) -> slice:
    """0 to `widest` neighbours of `size`, from two numbers in [0, 1)."""
    n = int(width * (widest + 1))
    first = int(place * (size - n + 1))
    return slice(first, first + n)
