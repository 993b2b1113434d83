"""The characters of the texts -> findings: other scripts, look-alikes, letters that hardly any text has."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from asr.clips.tally import visible
from asr.survey.alphabet import Alphabet, mixed_words
from asr.survey.finding import N_EXAMPLES, Finding, language_name, quoted
from asr.survey.rows import Rows

MOST_LETTERS = 200  # of an alphabet that a person would declare
LOUD_SHARE = 0.5  # of the text's letters, from which it is in capitals


def unlikely_characters(rows: Rows, alphabets: Mapping[str, Alphabet]) -> Iterator[Finding]:
    texts = rows.of("trained_text")
    mixed = [place for place, text in enumerate(texts) if mixed_words(text)]
    of_two = {*mixed}
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
                f"Letters that are strange to {language_name(code)}",
                len(strange),
                f"Of another script, or hardly ever written. Texts that have them: {len(places):,}.",
                _alphabet_param(rows, members, alphabets),
                0.9,
                [f"{visible(letter)} ({count:,})" for letter, count in [*strange.items()][: 4 * N_EXAMPLES]],
                [place for place in places if place not in of_two],
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
            quoted(rows, capitals),
        )


def _alphabet_param(rows: Rows, places: Sequence[int], alphabets: Mapping[str, Alphabet]) -> str:
    """The usual letters and digits of the language that most of the rows are in, if they can be written down."""
    code = Counter(rows.of("language")[place] for place in places).most_common(1)[0][0]
    alphabet = alphabets[code]
    strange = alphabet.strange()
    letters = {letter for letter in alphabet.letters() if letter not in strange} | alphabet.digits()
    if len(letters) > MOST_LETTERS:
        return "the texts themselves: mend them"
    return f'data.clean.alphabet: {{{code}: "{"".join(sorted(letters))}"}}'
