"""The tokens of a transcript -> whether they run in a loop, and what of them is left without it.

Whisper may fall into a phrase that it then repeats for ever. People repeat themselves too ("no no no", a row of zeros),
but not for long: what counts as a loop is `MIN_REPEATS` times the same in a row, of `MIN_TOKENS` in all.
"""

from collections.abc import Sequence

MIN_REPEATS = 4
MIN_TOKENS = 20
# The bound on what is heard in a clip: far over any transcript (those of 0.4 s clips in Cyrillic have up to 60 tokens
# a second, longer clips up to 25), so that only a decoder that runs away meets it.
MIN_NEW_TOKENS = 32
NEW_TOKENS_PER_SECOND = 40


def period(tokens: Sequence[int]) -> int:
    """The length of the unit that `tokens` end in a loop of, the shortest such; 0 where they do not.

    Cheap enough to be asked after each token: where no earlier token equals the last one, nothing else is compared.
    """
    for length in range(1, len(tokens) // MIN_REPEATS + 1):
        n_looping = max(MIN_TOKENS, MIN_REPEATS * length)
        if n_looping > len(tokens) or tokens[-1] != tokens[-1 - length]:
            continue
        if tokens[-n_looping:-length] == tokens[length - n_looping :]:
            return length
    return 0


def ran_away(tokens: Sequence[int], bound: int) -> bool:
    """Whether decoding is to stop here: it loops, or has filled all that a clip can hold without an end."""
    return len(tokens) >= bound or period(tokens) > 0


def without_loop(tokens: Sequence[int]) -> list[int]:
    """The tokens up to the end of the first unit of the loop that they end in; all, where they end in none."""
    length, n_kept = period(tokens), len(tokens)
    while length and n_kept > length and tokens[n_kept - 1] == tokens[n_kept - 1 - length]:
        n_kept -= 1
    return list(tokens[:n_kept])
