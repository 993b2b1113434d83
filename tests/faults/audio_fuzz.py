"""Recordings of every format, damaged by chance -> how many were decoded, how many rejected and why; nothing else.

python -m tests.faults.audio_fuzz --files 10000 [--seed 1]

A decoder that crashes or hangs ends the process, and the file is kept in the folder that is said first.
"""

import argparse
import faulthandler
import io
import json
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

import soundfile

from asr import params
from asr.clips.examples import examples
from asr.clips.tokens import Labeller
from asr.models.base import fetch
from asr.progress import track
from asr.utterances import Rejected, Utterance
from tests.builders import speech_like
from tests.faults.memory import peak_mb
from tests.recorded import encode

RATE_HZ = 16_000
LONGEST_S = 20.0  # for one file
MEMORY_BYTES = 6 * 2**30
FORMATS = (
    ("WAV", "PCM_16"),
    ("WAV", "FLOAT"),
    ("WAV", "ULAW"),
    ("WAV", "IMA_ADPCM"),
    ("AIFF", "PCM_24"),
    ("W64", "PCM_16"),
    ("RF64", "PCM_16"),
    ("CAF", "ALAC_16"),
    ("AU", "ALAW"),
    ("FLAC", "PCM_16"),
    ("OGG", "VORBIS"),
    ("OGG", "OPUS"),
    ("MP3", "MPEG_LAYER_III"),
)
CONTAINERS = (
    ("mp4", "aac", RATE_HZ),
    ("m4a", "alac", RATE_HZ),
    ("mkv", "aac", RATE_HZ),
    ("webm", "libopus", 48_000),
    ("wma", "wmav2", RATE_HZ),
)
SUFFIXES = ("wav", "flac", "ogg", "opus", "mp3", "m4a", "webm", "raw", "txt", "m3u8")


def originals(folder: Path) -> dict[str, bytes]:
    """A second of sound in each format, by name."""
    samples = speech_like(1.0, rate_hz=RATE_HZ)
    made = {}
    for name, subtype in FORMATS:
        file = io.BytesIO()
        soundfile.write(file, samples, RATE_HZ, format=name, subtype=subtype)
        made[f"{name} {subtype}"] = file.getvalue()
    for suffix, codec, rate_hz in CONTAINERS:
        samples = speech_like(1.0, rate_hz=rate_hz)
        path = folder / f"sound.{suffix}"
        made[f"{suffix} {codec}"] = encode(path, codec, samples, rate_hz, bit_rate=64_000).read_bytes()
    return made


def _flip(content: bytearray, random: Random) -> bytearray:
    for _ in range(random.choice((1, 8, 64))):
        content[random.randrange(len(content))] ^= 1 << random.randrange(8)
    return content


def _cut(content: bytearray, random: Random) -> bytearray:
    return content[: random.randrange(len(content))]


def _insert(content: bytearray, random: Random) -> bytearray:
    at = random.randrange(len(content))
    return content[:at] + random.randbytes(random.choice((1, 4, 1000))) + content[at:]


def _leave_out(content: bytearray, random: Random) -> bytearray:
    at = random.randrange(len(content))
    return content[:at] + content[at + random.choice((1, 4, 1000)) :]


def _header(content: bytearray, random: Random) -> bytearray:
    at = random.randrange(max(1, min(96, len(content) - 8)))
    content[at : at + 4] = random.choice((b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff", random.randbytes(4)))
    return content


def _repeat(content: bytearray, random: Random) -> bytearray:
    at = random.randrange(len(content))
    return content[:at] + content[at : at + 2000] * 20 + content[at:]


def _tag(content: bytearray, random: Random) -> bytearray:
    """A tag of RIFF, ID3 or MP4 that says to be as long as it likes."""
    at = random.randrange(min(96, len(content)))
    size = random.choice((b"\xf0\xff\xff\x7f", b"\x7f\xff\xff\xf0", b"\x7f\x7f\x7f\x7f"))
    name = random.choice((b"LIST" + size + b"INFOINAM", b"ID3\x04\0\0", b"APIC", b"udta", b"stsz", b"covr"))
    return content[:at] + name + size + content[at:]


HARMS: tuple[Callable[[bytearray, Random], bytearray], ...] = (_flip, _cut, _insert, _leave_out, _header, _repeat, _tag)


def run(n_files: int, seed: int, folder: Path) -> dict[str, object]:
    """What became of so many files."""
    fetch(params.Model(checkpoint="scratch"), folder / "base")
    labeller, audio, text = Labeller(folder / "base"), params.Audio(), params.Text()
    sound = originals(folder)
    counts: Counter[str] = Counter()
    slowest_s, early_mb, largest_mb = 0.0, 0.0, 0.0
    for number in track(range(n_files), "damaged files", n_files):
        random = Random(f"{seed} {number}")
        name = random.choice(sorted(sound))
        content = bytearray(sound[name])
        for _ in range(random.choice((1, 1, 2, 5))):
            content = random.choice(HARMS)(content, random) or bytearray(b"\0")
        path = folder / f"{number}.{random.choice(SUFFIXES)}"
        path.write_bytes(content)
        before_mb = peak_mb(forget=True)
        faulthandler.dump_traceback_later(LONGEST_S, exit=True)
        began_s = time.monotonic()
        (found,) = examples([Utterance("one", str(path), "Text.", "en")], audio, text, labeller)
        slowest_s = max(slowest_s, time.monotonic() - began_s)
        faulthandler.cancel_dump_traceback_later()
        largest_mb = max(largest_mb, peak_mb() - before_mb)
        path.unlink()
        counts[found.reason if isinstance(found, Rejected) else "decoded"] += 1
        if number == n_files // 10:
            early_mb = rss_mb()
    return {
        "files": n_files,
        "formats": len(sound),
        "counts": dict(counts.most_common()),
        "slowest_s": round(slowest_s, 3),
        "growth_mb": round(rss_mb() - early_mb, 1),
        "largest_mb": round(largest_mb, 1),
    }


def rss_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    with tempfile.TemporaryDirectory() as folder:
        print(f"files are written to {folder}", file=sys.stderr)
        print(json.dumps(run(options.files, options.seed, Path(folder)), indent=1))


if __name__ == "__main__":
    sys.exit(main())
