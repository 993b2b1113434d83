"""Texts, speakers and sounds that come more than once -> findings; the gravest is in train and in test."""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from asr.survey.finding import N_EXAMPLES, Finding, quoted
from asr.survey.rows import Flags, Rows

MANY_COPIES = 10  # of one text in train


def _in_two_splits(keys: Sequence[object], rows: Rows) -> list[int]:
    """The places of rows outside of train whose key a train row has, too."""
    train = rows.in_split("train")
    known = {key for key, is_train in zip(keys, train.tolist(), strict=True) if is_train}
    return [place for place, key in enumerate(keys) if not train[place] and key in known]


def texts_in_two_splits(rows: Rows) -> Iterator[Finding]:
    if places := _in_two_splits(rows.text_keys, rows):
        yield Finding(
            "Texts of validation or test that train has too",
            len(places),
            "Known texts are easier: the error rate looks better than it is. Splits cut by speaker may share some.",
            "leave the corpus' split column empty, so that data.split cuts it, or read the scores of text.unseen",
            3.0,
            quoted(rows, places),
            places,
        )


def speakers_in_two_splits(rows: Rows) -> Iterator[Finding]:
    speakers = rows.of("speaker")
    places = [place for place in _in_two_splits(speakers, rows) if speakers[place] is not None]
    if places:
        names = dict.fromkeys(speakers[place] for place in places)
        yield Finding(
            "Speakers of validation or test that train has too",
            len(names),
            f"Utterances of theirs there: {len(places):,}. Known voices are easier.",
            "leave the corpus' split column empty, so that data.split cuts it",
            2.5,
            [*names][:N_EXAMPLES],
            places,
        )


def repeated_sounds(rows: Rows) -> Iterator[Finding]:
    digests = rows.of("digest")
    if places := _in_two_splits(digests, rows):
        yield Finding(
            "Recordings of validation or test that train has too",
            len(places),
            "The very same sound, whatever its file and text.",
            "remove them from the corpus, or leave its split column empty and give equal recordings one text",
            4.0,
            [rows.of("id")[place] for place in places[:N_EXAMPLES]],
            places,
        )
    if places := _later(digests, rows.in_split("train"), 1):
        yield Finding(
            "Recordings that train has more than once",
            len(places),
            "The very same sound; where its text differs, one of them is wrong.",
            "data.clean.audio_copies: 1",
            1.5,
            [rows.of("id")[place] for place in places[:N_EXAMPLES]],
            places,
        )


def repeated_texts(rows: Rows) -> Iterator[Finding]:
    if places := _later(rows.text_keys, rows.in_split("train"), MANY_COPIES):
        texts = Counter(rows.of("text")[place] for place in places)
        yield Finding(
            "Texts that train has more than ten times",
            len(places),
            f"So many rows come after the tenth of their text; {len(texts):,} texts in all.",
            f"data.clean.text_copies: {MANY_COPIES}",
            0.5,
            [text for text, _ in texts.most_common(N_EXAMPLES)],
        )


def _later(keys: Sequence[object], chosen: Flags, n_first: int) -> list[int]:
    """The places of the chosen rows that come after the first so many of their key."""
    seen: Counter[object] = Counter()
    places = []
    for place in np.flatnonzero(chosen).tolist():
        seen[keys[place]] += 1
        if seen[keys[place]] > n_first:
            places.append(place)
    return places
