"""What is measured of the features -> all findings, what matters most first."""

from collections.abc import Iterator, Mapping

import numpy as np

from asr.evaluate.normalize import written_without_spaces
from asr.survey.alphabet import Alphabet
from asr.survey.finding import N_EXAMPLES, Finding, language_name
from asr.survey.levels import unlikely_levels, unlikely_rates
from asr.survey.rows import Rows
from asr.survey.twice import repeated_sounds, repeated_texts, speakers_in_two_splits, texts_in_two_splits
from asr.survey.writing import unlikely_characters

MIN_TEST_WORDS = 500  # under which a word error rate says little


def _n_words(text: str) -> int:
    return len(text.split())


def small_tests(rows: Rows) -> Iterator[Finding]:
    texts, test = rows.of("text"), rows.in_split("test")
    few = {}
    for code, members in rows.groups():
        # A character stands for a word where words are not set apart.
        units = len if written_without_spaces(code) else _n_words
        n_words = sum(units(texts[place]) for place in np.flatnonzero(test & members).tolist())
        if n_words < MIN_TEST_WORDS:
            few[code] = n_words
    if test.any() and few:
        yield Finding(
            f"Fewer than {MIN_TEST_WORDS} test words",
            len(few),
            "The word error rate of these languages will have a wide interval.",
            "data.split.test: a larger share",
            0.2,
            [f"{language_name(code)}: {n:,}" for code, n in sorted(few.items(), key=lambda item: item[1])][:N_EXAMPLES],
        )


LOOKS = (
    texts_in_two_splits,
    speakers_in_two_splits,
    repeated_sounds,
    repeated_texts,
    unlikely_levels,
    unlikely_rates,
    small_tests,
)


def findings(rows: Rows, alphabets: Mapping[str, Alphabet], rejects: Mapping[str, int]) -> list[Finding]:
    found = [finding for look in LOOKS for finding in look(rows)]
    found += [*unlikely_characters(rows, alphabets), *_rejected(rejects, len(rows))]
    return sorted(found, key=lambda one: (-one.weight, -one.n, one.title))


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


def _rejected(rejects: Mapping[str, int], n_rows: int) -> Iterator[Finding]:
    for reason, n in rejects.items():
        if reason != "over max_hours":
            yield Finding(
                f"Rejected: {reason}",
                n,
                f"{100 * n / (n + n_rows):.1f} % of the rows; rejects.parquet names each, with the detail.",
                _PARAMS.get(reason, "see docs/corpora.md, Rejects"),
                1.0 if n > 0.01 * n_rows else 0.3,
            )
