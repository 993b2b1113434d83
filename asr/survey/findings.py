"""What is measured of the features -> findings: what is probably wrong, in how many rows, and which param mends it."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from asr.clips.tally import visible
from asr.corpora.splits import normalised
from asr.languages import NAMES
from asr.survey.alphabet import Alphabet, mixed_words
from asr.survey.rows import Flags, Rows

CLIPPED_SHARE = 0.01  # of the samples at full scale, which can be heard
QUIET_DB = -50.0  # of full scale, RMS
# The louder end to the whole clip. Of 493 clips of Tux Paint 4 % are over it, of the same with their last third cut off
# 43 %, of those cut at both ends 72 %.
EDGE_DB = 0.0
RATE_FACTOR = 3.0  # times a language's own median of characters a second, or less by as much
SLOWEST, FASTEST = 1.0, 40.0  # characters a second, in any language
MIN_ROWS = 20  # of a language, to speak of its median
MIN_TEST_WORDS = 500  # under which a word error rate says little
MANY_COPIES = 10  # of one text in train
LOUD_SHARE = 0.5  # of the text's letters, from which it is in capitals
N_EXAMPLES = 5


@dataclass(frozen=True)
class Finding:
    """`n` rows (or texts, speakers, characters); `param` is a line to paste into params.yaml, or what else mends it.

    `rows` are the places of those that a person should hear; the larger `weight`, the more it matters.
    """

    title: str
    n: int
    detail: str
    param: str
    weight: float
    examples: Sequence[str] = ()
    rows: Sequence[int] = field(default=(), repr=False)


def findings(rows: Rows, alphabets: Mapping[str, Alphabet], rejects: Mapping[str, int]) -> list[Finding]:
    """What matters most first."""
    found: list[Finding] = []
    for look in (_of_texts_in_two_splits, _of_speakers_in_two_splits, _of_sounds, _of_repeated_texts, _of_levels):
        found += look(rows)
    found += _of_rates(rows)
    found += _of_characters(rows, alphabets)
    found += _of_sizes(rows)
    found += _of_rejects(rejects, len(rows))
    return sorted(found, key=lambda one: (-one.weight, -one.n, one.title))


def _in_two_splits(keys: Sequence[object], rows: Rows) -> list[int]:
    """The places of rows outside of train whose key a train row has, too."""
    train = rows.in_split("train")
    known = {key for key, is_train in zip(keys, train.tolist(), strict=True) if is_train}
    return [place for place, key in enumerate(keys) if not train[place] and key in known]


def _of_texts_in_two_splits(rows: Rows) -> Iterator[Finding]:
    keys = [*zip(rows.of("language"), map(normalised, rows.of("text")), strict=True)]
    if places := _in_two_splits(keys, rows):
        yield Finding(
            "Texts of validation or test that train has too",
            len(places),
            "Known texts are easier: the error rate will look better than it is. Splits that are cut here share none.",
            "leave the corpus' split column empty, so that data.split cuts it",
            3.0,
            _quoted(rows, places),
            places,
        )


def _of_speakers_in_two_splits(rows: Rows) -> Iterator[Finding]:
    speakers = rows.of("speaker")
    places = [place for place in _in_two_splits(speakers, rows) if speakers[place] is not None]
    if places:
        names = dict.fromkeys(speakers[place] for place in places)
        yield Finding(
            "Speakers of validation or test that train has too",
            len(names),
            f"They speak {len(places):,} utterances there. Known voices are easier.",
            "leave the corpus' split column empty, so that data.split cuts it",
            2.5,
            [*names][:N_EXAMPLES],
            places,
        )


def _of_sounds(rows: Rows) -> Iterator[Finding]:
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


def _of_repeated_texts(rows: Rows) -> Iterator[Finding]:
    keys = [*zip(rows.of("language"), map(normalised, rows.of("text")), strict=True)]
    if places := _later(keys, rows.in_split("train"), MANY_COPIES):
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


def _of_levels(rows: Rows) -> Iterator[Finding]:
    looks: list[tuple[str, Flags, str, str, float]] = [
        (
            "Clipped recordings",
            rows.levels["clipped_share"] >= CLIPPED_SHARE,
            "A hundredth of the samples or more is at full scale: the microphone was too loud.",
            f"data.clean.max_clipped_share: {CLIPPED_SHARE:g}",
            1.0,
        ),
        (
            "Hardly audible recordings",
            rows.rms_db < QUIET_DB,
            f"Under {QUIET_DB:g} dB of full scale: noise, or a word far away.",
            f"data.clean.min_rms_dbfs: {QUIET_DB:g}",
            1.2,
        ),
        (
            "Probably cut within a word",
            (rows.edge_db > EDGE_DB) & (rows.rms_db >= QUIET_DB),
            "The first or last 0.05 s are as loud as the rest, where speech would begin or end.",
            f"data.clean.max_edge_db: {EDGE_DB:g}",
            1.1,
        ),
    ]
    for title, flags, detail, param, weight in looks:
        if places := np.flatnonzero(flags).tolist():
            yield Finding(title, len(places), detail, param, weight, _quoted(rows, places), places)


def _of_rates(rows: Rows) -> Iterator[Finding]:
    """Texts that do not fit the length of their recordings: another text's, or too much or little of it."""
    rates, usual = rows.characters_a_second, bounds_of(rows)
    low = np.array([usual[code][0] for code in rows.of("language")])
    high = np.array([usual[code][1] for code in rows.of("language")])
    least, most = (
        min((low for low, _ in usual.values()), default=0),
        max((high for _, high in usual.values()), default=0),
    )
    param = f"data.clean.characters_a_second: [{least:.2g}, {most:.2g}]"
    for title, flags, detail in (
        ("More text than the recording can hold", rates > high, "Probably another text, or the recording is cut."),
        ("Less text than the recording lasts", rates < low, "Probably another text, long silence, or words left out."),
    ):
        if places := np.flatnonzero(flags).tolist():
            yield Finding(title, len(places), detail, param, 2.0, _quoted(rows, places), places)


def bounds_of(rows: Rows) -> dict[str, tuple[float, float]]:
    """The least and most characters a second that are likely in each language, by its own median."""
    bounds = {}
    for code, members in rows.groups():
        rates = rows.characters_a_second[members]
        median = float(np.median(rates))
        known = len(rates) >= MIN_ROWS
        bounds[code] = (
            max(SLOWEST, median / RATE_FACTOR) if known else SLOWEST,
            min(FASTEST, median * RATE_FACTOR) if known else FASTEST,
        )
    return bounds


def _of_characters(rows: Rows, alphabets: Mapping[str, Alphabet]) -> Iterator[Finding]:
    texts = rows.of("trained_text")
    mixed = [place for place, text in enumerate(texts) if mixed_words(text)]
    if mixed:
        words = [word for place in mixed[:N_EXAMPLES] for word in mixed_words(texts[place])]
        yield Finding(
            "Words of two scripts",
            len(mixed),
            "Letters that look alike (a Latin a, a Cyrillic а) are others to the model.",
            "mend the texts, or set aside what has foreign letters: " + _alphabet_param(rows, mixed, alphabets),
            1.8,
            words[:N_EXAMPLES],
            mixed,
        )
    for code, alphabet in alphabets.items():
        if strange := alphabet.strange():
            odd = set(strange)
            members = np.flatnonzero(rows.languages == code).tolist()
            places = [place for place in members if odd & {*texts[place], *texts[place].lower()}]
            yield Finding(
                f"Letters that are strange to {_language(code)}",
                len(strange),
                f"In {len(places):,} texts: of another script, or hardly ever written.",
                _alphabet_param(rows, members, alphabets),
                0.9,
                [f"{visible(letter)} ({count:,})" for letter, count in [*strange.items()][: 4 * N_EXAMPLES]],
                [place for place in places if place not in set(mixed)],
            )
    train = {one for place in np.flatnonzero(rows.in_split("train")).tolist() for one in texts[place]}
    unknown = Counter(one for place in np.flatnonzero(rows.in_split("test")).tolist() for one in texts[place])
    if train and (missing := {one: n for one, n in unknown.most_common() if one not in train and not one.isspace()}):
        yield Finding(
            "Characters of test that no text of train has",
            len(missing),
            "The model can write them only if the base checkpoint could.",
            "text: rules that make them alike, or more such text in train",
            0.8,
            [f"{visible(one)} ({n:,})" for one, n in [*missing.items()][: 4 * N_EXAMPLES]],
        )
    capitals = [place for place, text in enumerate(texts) if len(text) > 3 and text.isupper()]
    if len(capitals) > LOUD_SHARE * len(rows):
        yield Finding(
            "Texts in capitals",
            len(capitals),
            "Whisper would learn to write so.",
            "text.lowercase: true",
            0.7,
            _quoted(rows, capitals),
        )


def _alphabet_param(rows: Rows, places: Sequence[int], alphabets: Mapping[str, Alphabet]) -> str:
    """The usual letters of the language that most of the rows are in."""
    code = Counter(rows.of("language")[place] for place in places).most_common(1)[0][0]
    letters = [letter for letter in alphabets[code].letters() if letter not in alphabets[code].strange()]
    return f'data.clean.alphabet: {{{code}: "{"".join(sorted(letters))[:200]}"}}'


def _of_sizes(rows: Rows) -> Iterator[Finding]:
    texts, test = rows.of("text"), rows.in_split("test")
    few = {}
    for code, members in rows.groups():
        n_words = sum(len(texts[place].split()) for place in np.flatnonzero(test & members).tolist())
        if n_words < MIN_TEST_WORDS:
            few[code] = n_words
    if test.any() and few:
        yield Finding(
            f"Fewer than {MIN_TEST_WORDS} test words",
            len(few),
            "The word error rate of these languages will have a wide interval.",
            "data.split.test: a larger share",
            0.2,
            [f"{_language(code)}: {n:,}" for code, n in sorted(few.items(), key=lambda item: item[1])][:N_EXAMPLES],
        )


# The params that decide about a reason; for the others docs/corpora.md has the remedy.
_PARAMS = {
    "too short": "audio.min_s",
    "too long": "audio.max_s",
    "silent": "audio.silence_dbfs",
    "unknown language": "data.languages",
    "reported": "data.common_voice.keep_reported",
    "too few votes": "data.common_voice.min_votes",
    "over max_hours": "data.sources: the entry's max_hours",
    "outside audio_root": "data.table.audio_root",
}


def _of_rejects(rejects: Mapping[str, int], n_rows: int) -> Iterator[Finding]:
    for reason, n in rejects.items():
        if reason != "over max_hours":
            yield Finding(
                f"Rejected: {reason}",
                n,
                f"{100 * n / (n + n_rows):.1f} % of the rows; rejects.parquet names each, with the detail.",
                _PARAMS.get(reason, "see docs/corpora.md, Rejects"),
                1.0 if n > 0.01 * n_rows else 0.3,
            )


def _quoted(rows: Rows, places: Sequence[int]) -> list[str]:
    return [rows.of("trained_text")[place][:80] for place in places[:N_EXAMPLES]]


def _language(code: str) -> str:
    return NAMES.get(code, code).title()
