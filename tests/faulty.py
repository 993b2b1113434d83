"""Rows for `write_features`: a corpus in which nothing is wrong, and the same with a fault of each kind."""

from typing import Any

from asr.utterances import SPLITS
from tests.builders import example

TEXT = "el perro come una manzana roja cada día bajo la lluvia fina que moja los campos verdes de abril"
WORDS = TEXT.split(" ")
N_ROWS = {"train": 60, "validation": 6, "test": 60}
FAULTS = {
    "Texts of validation or test that train has too": "data.split",
    "Speakers of validation or test that train has too": "data.split",
    "Recordings of validation or test that train has too": "equal recordings",
    "Recordings that train has more than once": "data.clean.audio_copies: 1",
    "Texts that train has more than ten times": "data.clean.text_copies: 10",
    "Clipped recordings": "data.clean.max_clipped_share: 0.01",
    "Hardly audible recordings": "data.clean.min_rms_dbfs: -50",
    "Probably cut within a word": "data.clean.max_edge_db: 0",
    "More text than the recording can hold": "data.clean.characters_a_second: [",
    "Less text than the recording lasts": "data.clean.characters_a_second: [",
    "Words of two scripts": "data.clean.alphabet: {es: ",
    "Letters that are strange to Spanish": "data.clean.alphabet: {es: ",
    "Characters of test that no text of train has": "text: rules",
    "Rejected: silent": "audio.silence_dbfs",
}


def row(split: str, number: int, **columns: Any) -> dict[str, Any]:
    """Ten words in four seconds, of a text and a voice that no other row has."""
    first, second = divmod(SPLITS.index(split) * 1000 + number, len(WORDS))
    words = [WORDS[second], *(WORDS[(first * 7 + step * 3) % len(WORDS)] for step in range(8)), f"{WORDS[first % 19]}"]
    text = f"{' '.join(words)}."
    name = f"{split}-{number}"
    return example(name, 0.1) | {
        "text": text,
        "trained_text": text,
        "language": "es",
        "duration_s": 4.0,
        "speaker": f"{split} {number % 9}",
        "digest": name,
        **columns,
    }


def flawless() -> dict[str, list[dict[str, Any]]]:
    return {split: [row(split, number) for number in range(n)] for split, n in N_ROWS.items()}


def faulty() -> dict[str, list[dict[str, Any]]]:
    """One fault of each of `FAULTS`, but for the rejects, each in rows that are named after it."""
    rows = flawless()
    train, test = rows["train"], rows["test"]
    known = train[0]

    def plant(split: str, name: str, **columns: Any) -> None:
        rows[split].append(row(split, len(rows[split]), id=name, **columns))

    plant("test", "known text", text=known["text"].upper(), trained_text=known["text"])
    plant("test", "known voice", speaker=train[1]["speaker"])
    plant("test", "known sound", digest=train[2]["digest"])
    plant("train", "sound again", digest=train[3]["digest"])
    for n in range(11):
        plant("train", f"said {n}", text="Otra vez lo mismo de siempre, una y otra vez.", trained_text="Otra vez " * 8)
    plant("train", "clipped", clipped_share=0.05)
    plant("train", "quiet", rms=0.001, head_rms=0.0001, tail_rms=0.0001)
    plant("train", "cut", tail_rms=0.12)
    plant("train", "fast", duration_s=0.5)
    plant("train", "slow", duration_s=25.0)
    plant("train", "look-alike", trained_text="El perrо come una manzana roja cada día de abril.")  # a Cyrillic о
    plant("train", "foreign", trained_text="El perro 犬 come una manzana roja cada día de abril.")
    plant("test", "unknown sign", trained_text="El perro come ¶ una manzana roja cada día de abril.")
    assert test is rows["test"]
    return rows
