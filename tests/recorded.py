"""What tests of audio are built from: recordings in many formats, and files that only look like recordings."""

import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}


def encode(path: Path, codec: str, samples: NDArray[np.float32], rate_hz: int, bit_rate: int | None = None) -> Path:
    """`(n_samples,)` or `(n_samples, n_channels)` through FFmpeg's encoder, in the container that the suffix names."""
    planes = np.ascontiguousarray(np.atleast_2d(samples.T), dtype=np.float32)
    layout = LAYOUTS[len(planes)]
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=rate_hz, layout=layout)
        if bit_rate:
            stream.bit_rate = bit_rate
        frame = av.AudioFrame.from_ndarray(planes, format="fltp", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate_hz, 0, Fraction(1, rate_hz)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def wav_header(
    data_bytes: int, rate_hz: int = 16_000, n_channels: int = 1, bits: int = 16, kind: int = 1, riff_bytes: int = 0
) -> bytes:
    """44 bytes that say what they are told to (RIFF, IBM and Microsoft 1991)."""
    frame_bytes = n_channels * bits // 8
    layout = struct.pack(
        "<IHHIIHH", 16, kind, n_channels, rate_hz, rate_hz * frame_bytes % 2**32, frame_bytes % 2**16, bits
    )
    riff = struct.pack("<I", riff_bytes or min(36 + data_bytes, 2**32 - 1))
    return b"RIFF" + riff + b"WAVEfmt " + layout + b"data" + struct.pack("<I", data_bytes)


def pcm(samples: NDArray[np.float32]) -> bytes:
    return np.rint(samples * 32767).astype("<i2").tobytes()


def without_flac_length(content: bytes) -> bytes:
    """A FLAC whose header leaves the number of samples open, as from a pipe: the last 36 bits before the digest."""
    changed = bytearray(content)
    changed[21] &= 0xF0
    changed[22:26] = bytes(4)
    return bytes(changed)


def without_mp3_length(content: bytes) -> bytes:
    """An MP3 without its first frame, which holds no sound but says how many there are."""
    return content[content.index(content[:2], 4) :]
