"""Measures of train rows and `data.clean` -> why a row is set aside, or that it is not.

All filters are switched off by default. A row is judged by its own columns, but for copies of a text or of a sound, of
which those that come first in a seeded order stay.
"""

import math
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from asr.corpora.limits import place
from asr.corpora.splits import normalised
from asr.params import Clean
from asr.utterances import Rejected

COLUMNS = (
    *("id", "text", "trained_text", "language", "duration_s", "source"),
    *("rms", "clipped_share", "head_rms", "tail_rms", "digest"),
)
SILENCE_DB = -120.0  # what a level of zero counts as


class Row(NamedTuple):
    """Columns of the shards, by their names there."""

    id: str
    text: str
    trained_text: str
    language: str
    duration_s: float
    source: str | None
    rms: float
    clipped_share: float
    head_rms: float
    tail_rms: float
    digest: str


def characters_a_second(row: Row) -> float:
    """Of the trained text, spaces included."""
    return len(row.trained_text) / max(row.duration_s, 1e-3)


def decibels(level: float) -> float:
    """A level as a share of full scale, or of another level, in dB."""
    return max(SILENCE_DB, 20 * math.log10(level)) if level > 0 else SILENCE_DB


def edge_db(row: Row) -> float:
    """The louder end of the clip beside all of it: about 0 where the clip begins or ends within a word."""
    return decibels(max(row.head_rms, row.tail_rms) / row.rms) if row.rms > 0 else SILENCE_DB


def foreign(text: str, alphabet: str) -> list[str]:
    """The letters, marks and digits of `text` that are not in `alphabet`, in either case, each once."""
    alphabet = unicodedata.normalize("NFC", alphabet)
    known = {*alphabet.lower(), *alphabet.upper(), *alphabet}
    written = dict.fromkeys(unicodedata.normalize("NFC", text))
    return [one for one in written if one not in known and unicodedata.category(one)[0] in "LMN"]


def judge(row: Row, rules: Clean) -> Rejected | None:
    """Why the row is set aside for what it is by itself."""
    if rules.characters_a_second:
        least, most = rules.characters_a_second
        rate = characters_a_second(row)
        said = f"{rate:.1f} characters a second; data.clean.characters_a_second is {least:g} to {most:g}"
        if rate > most:
            return Rejected(row.id, "too many characters a second", said)
        if rate < least:
            return Rejected(row.id, "too few characters a second", said)
    if row.language in rules.alphabet and (others := foreign(row.trained_text, rules.alphabet[row.language])):
        said = f"{' '.join(others[:10])} in {row.trained_text[:80]!r}; see data.clean.alphabet.{row.language}"
        return Rejected(row.id, "foreign characters", said)
    if rules.min_rms_dbfs is not None and (level_db := decibels(row.rms)) < rules.min_rms_dbfs:
        return Rejected(row.id, "too quiet", f"{level_db:.1f} dB; data.clean.min_rms_dbfs is {rules.min_rms_dbfs:g}")
    if rules.max_clipped_share is not None and row.clipped_share > rules.max_clipped_share:
        said = f"{row.clipped_share:.4f} of the samples; data.clean.max_clipped_share is {rules.max_clipped_share:g}"
        return Rejected(row.id, "clipped", said)
    if rules.max_edge_db is not None and (level_db := edge_db(row)) > rules.max_edge_db:
        said = f"an end is at {level_db:+.1f} dB to the clip; data.clean.max_edge_db is {rules.max_edge_db:g}"
        return Rejected(row.id, "probably cut", said)
    return None


def repeated(rows: Sequence[Row], rules: Clean, seed: int) -> dict[str, Rejected]:
    """The rows, by id, that say what others say, or are what others are, beyond what `rules` allow."""
    found: dict[str, Rejected] = {}
    if rules.text_copies is None and rules.audio_copies is None:
        return found
    texts: Counter[tuple[str, str]] = Counter()
    sounds: Counter[str] = Counter()
    for row in sorted(rows, key=lambda row: place(seed, row.id)):
        if rules.audio_copies is not None and sounds[row.digest] == rules.audio_copies:
            said = f"the same sound as {rules.audio_copies:,} before; see data.clean.audio_copies"
            found[row.id] = Rejected(row.id, "repeated audio", said)
            continue
        text = row.language, normalised(row.text)
        if rules.text_copies is not None and texts[text] == rules.text_copies:
            said = f"{row.text[:80]!r} stands {rules.text_copies:,} times before; see data.clean.text_copies"
            found[row.id] = Rejected(row.id, "repeated text", said)
            continue
        sounds[row.digest] += 1
        texts[text] += 1
    return found


def disagreeing(row: Row, rates: Mapping[str, float], max_rate: float) -> Rejected | None:
    """Why the row is set aside for what the base checkpoint hears in it; `rates` are error rates by id."""
    rate = rates.get(row.id)
    if rate is None or rate <= max_rate:
        return None
    said = f"the base checkpoint hears {100 * rate:.0f} % of it otherwise; data.agreement.max_wer is {max_rate:g}"
    return Rejected(row.id, "heard otherwise", said)
