"""Normalised references and hypotheses -> which hypotheses are empty, run in a loop, or are far too long."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

FAILURES = ("empty", "looping", "overlong")

MIN_LOOPS = 4  # times in a row: people say a thing twice or three times
MIN_LOOP_CHARACTERS = 16  # of all those times together: "no no no no" is speech
MAX_PERIOD_CHARACTERS = 250  # of what is repeated; a window of 448 tokens holds no four of anything longer
OVERLONG_CHARACTERS = 20  # about four words: a short answer that is heard twice is a slip, no failure


def failures(references: Sequence[str], hypotheses: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Which of N hypotheses fail, in the order of `FAILURES`: (N, 3). Both sides normalised, in any script.

    Empty: nothing was heard where something was said. Looping: a stretch of characters, spaces included, stands
    `MIN_LOOPS` times in a row or more, and longer so than in the reference, which may say "five five five five".
    Overlong: more than twice the reference and `OVERLONG_CHARACTERS` more, so that the insertions alone are more than
    all that was said, and the character error rate is over 1 whatever the words are.
    """
    table = np.zeros((len(references), len(FAILURES)), dtype=bool)
    for row, (reference, hypothesis) in enumerate(zip(references, hypotheses, strict=True)):
        n_looping = loop_characters(hypothesis)
        table[row] = (
            bool(reference) and not hypothesis,
            n_looping > 0 and n_looping > loop_characters(reference),
            len(hypothesis) > max(2 * len(reference), len(reference) + OVERLONG_CHARACTERS),
        )
    return table


def loop_characters(text: str) -> int:
    """The length of the longest loop in a text, all its rounds together; 0 if there is none."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    longest = 0
    for period in range(1, min(MAX_PERIOD_CHARACTERS, len(codes) // MIN_LOOPS) + 1):
        same = codes[period:] == codes[:-period]
        wanted = max(MIN_LOOPS * period, MIN_LOOP_CHARACTERS, longest + 1) - period
        if np.count_nonzero(same) >= wanted:  # most texts end here: looking for stretches is dearer than counting
            edges = np.flatnonzero(np.concatenate(([True], ~same, [True])))
            n_in_a_row = int(np.diff(edges).max()) - 1
            if n_in_a_row >= wanted:
                longest = n_in_a_row + period
    return longest
