"""The floor under every way to Whisper's features: decode, resample, transform, compress, append to one file.

python benchmarks/ways/floor.py MANIFEST_FOLDER OUT_FILE

No measures, labels or checks. Channels are added as columns: numpy's mean over an axis of two takes 30 times as long.
"""

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import soundfile
import soxr

from asr.corpora import manifest
from asr.features import RATE_HZ, log_mel
from asr.shards import ZSTD_LEVEL


def main(manifest_folder: Path, out: Path) -> None:
    codec = pa.Codec("zstd", ZSTD_LEVEL)
    with out.open("wb") as file:
        for utterance in manifest.read(manifest_folder):
            samples, rate_hz = soundfile.read(utterance.audio, dtype="float32", always_2d=True)
            mono = sum(samples.T[1:], samples[:, 0]) / np.float32(samples.shape[1])
            if rate_hz != RATE_HZ:
                mono = soxr.resample(mono, rate_hz, RATE_HZ)
            file.write(codec.compress(log_mel(mono).astype("<f2").tobytes()))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
