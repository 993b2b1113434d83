"""Trained texts -> the characters of each language, and those that are most likely wrong."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

RARE_SHARE = 2e-5  # of a language's letters, under which a letter is rare
MIN_LETTERS = 5_000  # of a language, under which nothing is called rare
MAIN_SHARE = 0.05  # of a language's letters, from which a script is one of its own
_WORD = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True)
class Alphabet:
    """The characters of one language's texts: how often each is written, and in which scripts."""

    counts: Counter[str]
    scripts: Counter[str]

    @classmethod
    def of(cls, texts: Iterable[str]) -> "Alphabet":
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(text)
        scripts: Counter[str] = Counter()
        for character, count in counts.items():
            if character.isalpha():
                scripts[script(character)] += count
        return cls(counts, scripts)

    @property
    def main_scripts(self) -> set[str]:
        n_letters = self.scripts.total()
        return {name for name, count in self.scripts.items() if count >= MAIN_SHARE * n_letters}

    def letters(self) -> dict[str, int]:
        """In lower case, commonest first."""
        found: Counter[str] = Counter()
        for character, count in self.counts.items():
            if unicodedata.category(character)[0] in "LM":
                found[character.lower() if len(character.lower()) == 1 else character] += count
        return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))

    def digits(self) -> set[str]:
        """Digits and other characters of numbers."""
        return {character for character in self.counts if unicodedata.category(character)[0] == "N"}

    def strange(self) -> dict[str, int]:
        """Letters of a script that is none of the language's own, or that hardly any text has; commonest first."""
        letters, mains = self.letters(), self.main_scripts
        n_letters = sum(letters.values())
        return {
            letter: count
            for letter, count in letters.items()
            if (letter.isalpha() and script(letter) not in mains)
            or (n_letters >= MIN_LETTERS and count < RARE_SHARE * n_letters)
        }


@cache
def script(letter: str) -> str:
    """The first word of a letter's name in Unicode, which is its script: LATIN, CYRILLIC, CJK."""
    return unicodedata.name(letter, "UNKNOWN").partition(" ")[0]


def mixed_words(text: str) -> list[str]:
    """Words with letters that look like others: of Latin, Greek and Cyrillic more than one."""
    return [word for word in _WORD.findall(text) if len({script(one) for one in word} & LOOK_ALIKE) > 1]


LOOK_ALIKE = {"LATIN", "GREEK", "CYRILLIC"}
