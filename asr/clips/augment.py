"""A clip of speech -> the same speech with noise, in a room, or over the telephone; the same for the same seed.

All in float64, whose last bits differ between processors but not once they are cast down.
"""

import hashlib
import io
from collections.abc import Callable

import numpy as np
import scipy.fft
import soundfile
from numpy.typing import NDArray

from asr.features import RATE_HZ

Signal = NDArray[np.float64]  # (n_samples,) at 16 kHz

NOISE_SNR_DB = (5.0, 25.0)  # of the whole clip; uniform
NOISE_CORNER_HZ = 50.0  # pink above: power falls by 3 dB an octave; flat below

REVERBERATION_RT60_S = (0.2, 0.8)  # until the tail is 60 dB down; uniform
REVERBERATION_DIRECT_DB = (0.0, 10.0)  # the direct path over the tail; uniform
REVERBERATION_GAP_S = 0.002  # from the direct path to the first reflection: 70 cm

TELEPHONE_RATE_HZ = 8_000
TELEPHONE_BAND_HZ = (300.0, 3_400.0)  # ITU-T G.712
TELEPHONE_TAPS = 401  # of the band-pass: 40 dB down within 100 Hz


def augmented(samples: NDArray[np.float32], kind: str, seed: str) -> NDArray[np.float32]:
    """`samples`, float32 at 16 kHz, changed by one of `KINDS`: as many, aligned with them, none over full scale."""
    rng = np.random.default_rng(list(hashlib.sha256(f"{kind}\0{seed}".encode()).digest()))
    changed = KINDS[kind](samples.astype(np.float64), rng)
    return (changed / max(1.0, np.abs(changed).max())).astype(np.float32)


def noise(speech: Signal, rng: np.random.Generator) -> Signal:
    """Pink noise under the speech."""
    frequency_hz = scipy.fft.rfftfreq(len(speech), 1 / RATE_HZ)
    spectrum = scipy.fft.rfft(rng.standard_normal(len(speech)))
    pink = scipy.fft.irfft(spectrum / np.sqrt(np.maximum(frequency_hz, NOISE_CORNER_HZ)), len(speech))
    snr_db = rng.uniform(*NOISE_SNR_DB)
    return speech + pink * (_rms(speech) / max(_rms(pink), 1e-12) * 10 ** (-snr_db / 20))


def reverberation(speech: Signal, rng: np.random.Generator) -> Signal:
    """The speech and noise that dies away exponentially after each of its samples (Moorer 1979), as loud as before."""
    rt60_s = rng.uniform(*REVERBERATION_RT60_S)
    direct_db = rng.uniform(*REVERBERATION_DIRECT_DB)
    time_s = np.arange(round(rt60_s * RATE_HZ)) / RATE_HZ
    response = rng.standard_normal(len(time_s)) * 10 ** (-3 * time_s / rt60_s)
    response[time_s < REVERBERATION_GAP_S] = 0
    response *= 10 ** (-direct_db / 20) / np.sqrt(np.sum(response**2))
    response[0] = 1
    wet = _convolved(speech, response)[: len(speech)]
    return wet * (_rms(speech) / max(_rms(wet), 1e-12))


def telephone(speech: Signal, rng: np.random.Generator) -> Signal:
    """Through a telephone's band and its codec, G.711 mu-law at 8 kHz. Nothing in it is drawn."""
    step = RATE_HZ // TELEPHONE_RATE_HZ
    sent = _mu_law(_in_band(speech)[::step])
    received = np.zeros(len(speech))
    received[::step] = step * sent
    return _in_band(received)


KINDS: dict[str, Callable[[Signal, np.random.Generator], Signal]] = {
    "noise": noise,
    "reverberation": reverberation,
    "telephone": telephone,
}


def _in_band(signal: Signal) -> Signal:
    """By a windowed sinc, without delay."""
    half = TELEPHONE_TAPS // 2
    tap = np.arange(-half, half + 1)
    low, high = (2 * edge_hz / RATE_HZ for edge_hz in TELEPHONE_BAND_HZ)
    taps = (high * np.sinc(high * tap) - low * np.sinc(low * tap)) * np.hamming(TELEPHONE_TAPS)
    return _convolved(signal, taps)[half : half + len(signal)]


def _mu_law(signal: Signal) -> Signal:
    coded = io.BytesIO()
    signal = np.clip(signal, -1, 1)  # the band-pass overshoots, and libsndfile reads past its table then
    layout = {"format": "RAW", "subtype": "ULAW"}
    soundfile.write(coded, signal, TELEPHONE_RATE_HZ, **layout)
    coded.seek(0)
    return soundfile.read(coded, samplerate=TELEPHONE_RATE_HZ, channels=1, **layout)[0]


def _convolved(signal: Signal, taps: Signal) -> Signal:
    """All of it: `(n_samples + n_taps - 1,)`."""
    n = len(signal) + len(taps) - 1
    padded = scipy.fft.next_fast_len(n, real=True)
    return scipy.fft.irfft(scipy.fft.rfft(signal, padded) * scipy.fft.rfft(taps, padded), padded)[:n]


def _rms(signal: Signal) -> float:
    return float(np.sqrt(np.mean(signal**2)))
