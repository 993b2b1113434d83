"""One small shard with all that decides a shard's bytes, down to a single hash.

If it fails, the bytes of every user's shards change: raise asr.shards.FEATURES_VERSION, then note the new hash.
"""

import hashlib
import json

import numpy as np
import soundfile

from asr import params
from asr.clips.examples import examples
from asr.clips.plan import copies_of, read_planned, write_plan
from asr.clips.tokens import Labeller
from asr.corpora import manifest
from asr.shards import SCHEMA, encode_log_mel
from asr.utterances import Rejected, Utterance

GOLDEN = "26f6efe98a2a3874"
RULES = params.check(
    {
        "audio": {"speeds": [0.9, 1.0, 1.1], "augment": ["noise", "reverberation", "telephone"]},
        "text": {"lowercase": True, "remove_punctuation": True},
    }
)
TEXTS = [
    "L\u2019eau, don't: 3.14!",
    "Nai\u0308ve \u2014 rock-n-roll\u200b",
    "\u0928\u092e\u0938\u094d\u0924\u0947\u0964",
]


def test_the_bytes_of_a_shard_are_those_of_their_version(tmp_path, scratch):
    rows = []
    for n, (text, rate_hz) in enumerate(zip(TEXTS, (44_100, 8_000, 16_000), strict=True)):
        levels = np.random.default_rng(n).integers(-9000, 9000, (rate_hz // 2, 2)).astype(np.int16)
        soundfile.write(tmp_path / f"{n}.wav", levels, rate_hz)
        audio, language = str(tmp_path / f"{n}.wav"), ("fr", "en", "hi")[n]
        rows.append(Utterance(f"{n}", audio, text, language, "train", source_bytes=1, timed=n == 1))
    manifest.write(rows, tmp_path)
    (planned,) = write_plan(tmp_path / "plan.parquet", tmp_path, 1, copies_of(RULES.audio))
    utterances = read_planned(tmp_path / "plan.parquet", planned.row_group)
    hashed = hashlib.sha256(str(SCHEMA).encode())
    made = list(examples(utterances, RULES.audio, RULES.text, Labeller(scratch)))
    assert len(made) == 18
    for row in made:
        assert not isinstance(row, Rejected)
        hashed.update(encode_log_mel(row.pop("log_mel"), "float16"))
        # To seven digits, as they are stored.
        rounded = {name: float(np.float32(value)) if isinstance(value, float) else value for name, value in row.items()}
        hashed.update(json.dumps(rounded, sort_keys=True).encode())
    assert hashed.hexdigest()[:16] == GOLDEN
