"""A grammar file -> different sentences, drawn at random.

`sentences` are templates with `{slots}`; `slots` maps a name to its alternatives, which may hold slots themselves.
"""

import random
import re
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from asr.errors import UserError

Grammar: TypeAlias = dict[str, Any]

FOLDER = Path(__file__).parents[1] / "sources"
MAX_REPEATS = 1000  # draws in a row that bring nothing new: the grammar is exhausted


def sentences(grammar: Grammar, n: int, rng: random.Random) -> list[str]:
    """`n` different sentences, each template of the grammar as likely as the others.

    Raises `UserError` when the grammar holds no more of them.
    """
    found: dict[str, None] = {}  # keeps the order, as a set does not
    n_repeats = 0
    while len(found) < n:
        sentence = _expand(rng.choice(grammar["sentences"]), grammar["slots"], rng)
        sentence = sentence[0].upper() + sentence[1:]
        n_repeats = n_repeats + 1 if sentence in found else 0
        if n_repeats > MAX_REPEATS:
            raise UserError(
                f"data.synthetic.utterances: {n} different sentences in one language are too many; "
                f"at most about {len(found)} can be made"
            )
        found[sentence] = None
    return list(found)


def load_grammar(language: str) -> Grammar:
    """The grammar of a language of the synthetic corpus."""
    grammar: Grammar = yaml.safe_load((FOLDER / f"grammar_{language}.yaml").read_text(encoding="utf-8"))
    return grammar


def _expand(template: str, slots: dict[str, list[str]], rng: random.Random) -> str:
    return re.sub(r"\{(\w+)\}", lambda slot: _expand(rng.choice(slots[slot[1]]), slots, rng), template)
