"""A manifest and ids -> the audio of these utterances as `data:` URIs that a page can play, or why there is none."""

import base64
import io
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow.parquet as pq
import soundfile
import soxr

from asr import storage
from asr.clips.ahead import Cells
from asr.clips.audio import read_piece
from asr.clips.recordings import BadAudio, recording
from asr.corpora.manifest import MANIFEST
from asr.features import RATE_HZ
from asr.utterances import Utterance

# MP3, because every browser plays it, and because equal samples give equal bytes (an Ogg stream has a random number).
FORMAT = {"format": "MP3", "subtype": "MPEG_LAYER_III", "bitrate_mode": "CONSTANT", "compression_level": 0.85}
BITS_PER_SECOND = 32_000  # at that level and 16 kHz, where libsndfile's 0 to 1 are 160 to 8 kbit/s
LONGEST_S = 30.0  # of a clip; no utterance that was used is longer
MAX_BYTES = 1_000_000  # of all clips; base64 makes 4/3 of it in the page
MAX_READING_S = 20.0  # a store that is slow, or gone, must not hold up an evaluation


@dataclass(frozen=True)
class Player:
    """The `uri` of a sound; empty where `reason` says why there is none."""

    uri: str = ""
    reason: str = ""


def players(manifest: Path, ids: Sequence[str], max_bytes: int = MAX_BYTES) -> dict[str, Player]:
    """One for each id, in this order; clips that all together would be over `max_bytes` are left out. Never raises."""
    try:
        found = pq.read_table(manifest / MANIFEST, filters=[("id", "in", list(ids))]).to_pylist() if ids else []
        utterances = {row["id"]: Utterance(**row) for row in found}
    except Exception as error:  # of any kind, as below
        return dict.fromkeys(ids, Player(reason=f"the manifest is unreadable: {error}"))
    made: dict[str, Player] = {}
    n_left, until_s = max_bytes, time.monotonic() + MAX_READING_S
    for name in ids:
        player = Player(reason="the manifest does not name it")
        if time.monotonic() > until_s:
            player = Player(reason=f"reading the clips before it took over {MAX_READING_S:g} s")
        elif utterance := utterances.get(name):
            player, n_bytes = _player(utterance, n_left)
            n_left -= n_bytes
        made[name] = player
    return made


def _player(utterance: Utterance, max_bytes: int) -> tuple[Player, int]:
    """And the bytes of its clip."""
    try:
        sound = _mp3(utterance)
    except BadAudio as bad:
        return Player(reason=f"{bad.reason}: {bad.detail}"), 0
    except Exception as error:  # a store's client raises what it likes, and a page without a sound is still a page
        return Player(reason=f"{utterance.audio}: {error}"), 0
    if len(sound) > max_bytes:
        return Player(reason="the page would become too large"), 0
    return Player("data:audio/mpeg;base64," + base64.b64encode(sound).decode()), len(sound)


def _mp3(utterance: Utterance) -> bytes:
    """Mono at 16 kHz: what the model heard. Raises `BadAudio`, and what reading from a store raises."""
    with Cells() as cells:
        open_read = storage.open_read if utterance.row is None else partial(cells.open_read, row=utterance.row)
        with recording(utterance.audio, open_read) as file:
            piece = read_piece(file, utterance.start_s, utterance.duration_s, LONGEST_S)
    samples = piece.samples
    if piece.rate_hz != RATE_HZ:
        samples = soxr.resample(samples, piece.rate_hz, RATE_HZ)
    written = io.BytesIO()
    soundfile.write(written, samples, RATE_HZ, **FORMAT)
    return written.getvalue()
