"""Tokens, their times and confidences -> words; and the words of two windows that overlap -> those of both."""

import math
from collections.abc import Sequence

from transformers import WhisperTokenizer
from transformers.models.whisper.tokenization_whisper import _combine_tokens_into_words

from asr.languages import NAMES
from asr.transcription.engine import Timed
from asr.transcription.transcript import Word
from asr.utterances import Seconds


def split_into_words(tokenizer: WhisperTokenizer, tokens: Sequence[int], language: str) -> list[tuple[str, list[int]]]:
    """Words with the places of their tokens, as transformers (after openai/whisper) splits them: at spaces, or at each
    character where a language has none."""
    words, _, places = _combine_tokens_into_words(tokenizer, list(tokens), NAMES.get(language, language))
    return list(zip(words, places, strict=True))


def timed_words(
    words: Sequence[tuple[str, list[int]]], timed: Timed, start_s: Seconds, longest_s: Seconds
) -> list[Word]:
    """In a window that starts at `start_s` and holds `longest_s` of sound."""
    made = []
    for text, places in words:
        begin_s, end_s = timed.starts_s[places[0]], timed.starts_s[places[-1] + 1]
        logs = [math.log(max(timed.confidences[place], 1e-10)) for place in places]
        confidence = math.exp(sum(logs) / len(logs))
        made.append(
            Word(text, start_s + min(begin_s, longest_s), start_s + min(max(begin_s, end_s), longest_s), confidence)
        )
    return made


def joined(
    before: Sequence[Word], after: Sequence[Word], from_s: Seconds, to_s: Seconds
) -> tuple[list[Word], list[Word]]:
    """What to keep of the words of a window and of the next one, which both hear the sound `from_s` to `to_s`.

    The word nearest to the middle of it that both heard is where one goes over into the other; without any, the middle.
    Where one of them heard nothing there, all of the other is kept.
    """
    if not any(word.end_s > from_s for word in before) or not any(word.start_s < to_s for word in after):
        return list(before), list(after)
    middle_s = (from_s + to_s) / 2
    pairs = [
        (abs((first.start_s + second.start_s) / 2 - middle_s), m, n)
        for m, first in enumerate(before)
        if first.end_s >= from_s
        for n, second in enumerate(after)
        if second.start_s <= to_s and _same(first, second)
    ]
    if pairs:
        _, m, n = min(pairs)
        return list(before[: m + 1]), list(after[n + 1 :])
    return (
        [word for word in before if (word.start_s + word.end_s) / 2 <= middle_s],
        [word for word in after if (word.start_s + word.end_s) / 2 > middle_s],
    )


def _same(first: Word, second: Word) -> bool:
    """Heard alike, and less than half a second apart."""
    said = _plain(first.text)
    return bool(said) and said == _plain(second.text) and abs(first.start_s - second.start_s) < 0.5


def _plain(text: str) -> str:
    return "".join(letter for letter in text.casefold() if letter.isalnum())
