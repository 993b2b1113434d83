"""Speech at 16 kHz -> Whisper's log-Mel spectrogram, trimmed to the frames that carry information.

Whisper's own extractor pads every clip to 30 s first and so transforms 3,000 frames whatever the clip's length. All
frames past the clip's end are the same number, so they need be neither computed nor stored: `pad_log_mel` refills them.

Axes: `M` mel bins, `T` frames.
"""

from functools import cache

import numpy as np
import scipy.fft
import scipy.sparse
from numpy.typing import NDArray

RATE_HZ = 16_000
N_FFT = 400  # samples, 25 ms
HOP = 160  # samples, 10 ms
FRAMES_PER_SECOND = RATE_HZ // HOP
MAX_S = 30  # what the encoder of a checkpoint has positions for
MAX_SAMPLES = MAX_S * RATE_HZ
MAX_FRAMES = MAX_S * FRAMES_PER_SECOND
FRAMES_AT_ONCE = 64  # their spectrum, 200 kB, stays in the processor's cache: twice as fast as all at once
DYNAMIC_RANGE_DECADES = 8.0  # of power, under the loudest bin
DYNAMIC_RANGE = DYNAMIC_RANGE_DECADES / 4  # in units of the scaled spectrogram
SILENCE = -1.5  # the scaled log10 of the smallest power, 1e-10


def n_frames(n_samples: int) -> int:
    """Frames of a clip of so many samples that reach into it: windows are centred, so the last reaches back 12.5 ms."""
    return min(MAX_FRAMES, -(-n_samples // HOP) + 2)


def log_mel(samples: NDArray[np.float32], n_mels: int = 80) -> NDArray[np.float32]:
    """Mono float32 `samples` at 16 kHz, at most 30 s of them used -> float32 `(M, T)`, T = n_frames(len(samples)).

    Equal to the first T frames of `transformers.WhisperFeatureExtractor` (after openai/whisper's audio.py) within 1e-4.
    It is computed in float64, whose last bits differ between processors too, but not once they are cast down.
    """
    n_t = n_frames(len(samples))
    signal = _padded(samples[:MAX_SAMPLES], n_t)
    frames = np.lib.stride_tricks.sliding_window_view(signal, N_FFT)[::HOP]
    mel = np.empty((n_mels, n_t))
    for first in range(0, n_t, FRAMES_AT_ONCE):
        block = slice(first, first + FRAMES_AT_ONCE)
        spectrum = scipy.fft.rfft(frames[block] * _window(), axis=1)
        power = spectrum.real**2 + spectrum.imag**2  # (T, N_FFT / 2 + 1)
        mel[:, block] = _sparse_filters(n_mels) @ np.ascontiguousarray(power.T)
    np.log10(np.maximum(mel, 1e-10, out=mel), out=mel)
    np.maximum(mel, mel.max() - DYNAMIC_RANGE_DECADES, out=mel)
    return ((mel + 4.0) / 4.0).astype(np.float32)


def pad_log_mel(mel: NDArray[np.float32], n_t: int) -> NDArray[np.float32]:
    """`(M, T)` -> float32 `(M, n_t)`: refilled as the padded extractor fills it, or cut where `n_t` is under T.

    Frames past the clip's end are digital silence, which the extractor lifts to its floor under the clip's loudest bin.
    """
    padded = np.full((mel.shape[0], n_t), max(float(mel.max()) - DYNAMIC_RANGE, SILENCE), dtype=np.float32)
    kept = min(mel.shape[1], n_t)
    padded[:, :kept] = mel[:, :kept]
    return padded


@cache
def mel_filters(n_mels: int) -> NDArray[np.float64]:
    """Triangular filters, `(N_FFT / 2 + 1, M)`, on Slaney's scale and of equal area (Auditory Toolbox, 1998)."""
    frequency_hz = np.linspace(0, RATE_HZ / 2, N_FFT // 2 + 1)
    edge_hz = _mel_to_hz(np.linspace(0, _hz_to_mel(RATE_HZ / 2), n_mels + 2))
    width_hz = np.diff(edge_hz)
    distance_hz = edge_hz[None, :] - frequency_hz[:, None]
    rising = -distance_hz[:, :-2] / width_hz[:-1]
    falling = distance_hz[:, 2:] / width_hz[1:]
    area = 2.0 / (edge_hz[2:] - edge_hz[:-2])
    return np.maximum(0, np.minimum(rising, falling)) * area


@cache
def _sparse_filters(n_mels: int) -> scipy.sparse.csr_array:
    """`mel_filters` turned, `(M, N_FFT / 2 + 1)`: of 80 filters 2 % of the weights are not zero."""
    return scipy.sparse.csr_array(mel_filters(n_mels).T)


# Slaney's scale is linear up to 1 kHz, which is 15 mel, and logarithmic above: 27 mel for a factor of 6.4.
_HZ_PER_MEL = 200 / 3
_KNEE_HZ = 1000.0
_KNEE_MEL = _KNEE_HZ / _HZ_PER_MEL
_LOG_STEP = np.log(6.4) / 27


def _hz_to_mel(hz: float) -> float:
    return _KNEE_MEL + np.log(hz / _KNEE_HZ) / _LOG_STEP if hz >= _KNEE_HZ else hz / _HZ_PER_MEL


def _mel_to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(mel >= _KNEE_MEL, _KNEE_HZ * np.exp(_LOG_STEP * (mel - _KNEE_MEL)), mel * _HZ_PER_MEL)


@cache
def _window() -> NDArray[np.float64]:
    """Hann's window, periodic: `(N_FFT,)`."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(N_FFT) / N_FFT)


def _padded(samples: NDArray[np.float32], n_t: int) -> NDArray[np.float64]:
    """The samples under `n_t` centred windows, as if the clip stood in 30 s of silence mirrored at both its ends."""
    half = N_FFT // 2
    signal = np.zeros(half + (n_t - 1) * HOP + half)
    signal[half : half + len(samples)] = samples[: len(signal) - half]
    signal[:half] = signal[half + 1 : N_FFT + 1][::-1]
    past_the_end = len(signal) - (half + MAX_SAMPLES)
    if past_the_end > 0:
        signal[-past_the_end:] = signal[-2 * past_the_end - 1 : -past_the_end - 1][::-1]
    return signal
