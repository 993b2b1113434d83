"""Words of tokens, and those of two windows that overlap."""

import pytest
from transformers import WhisperTokenizer

from asr.transcription.engine import Timed
from asr.transcription.transcript import Word
from asr.transcription.words import joined, split_into_words, timed_words


@pytest.fixture(scope="module")
def tokenizer(scratch):
    return WhisperTokenizer.from_pretrained(scratch)


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        (" Hello, it's me.", "en", [" Hello,", " it's", " me."]),
        ("我喜欢猫。", "zh", ["我", "喜欢", "猫。"]),
        (" नमस्ते दुनिया", "hi", [" नमस्ते", " दुनिया"]),
        ("", "en", []),
    ],
)
def test_words_are_split_at_spaces_or_between_tokens(tokenizer, text, language, expected):
    tokens = tokenizer.encode(text, add_special_tokens=False)
    found = split_into_words(tokenizer, tokens, language)
    assert [word for word, _ in found] == expected
    assert [place for _, places in found for place in places] == list(range(len(tokens)))


def test_a_word_has_the_time_and_the_mean_confidence_of_its_tokens():
    (word,) = timed_words([(" ab", [0, 1])], Timed([0.9, 0.4], [0.5, 0.7, 1.5]), start_s=10.0, longest_s=1.0)
    assert (word.start_s, word.end_s) == (10.5, 11.0)
    assert word.confidence == pytest.approx(0.6)


def at(text, start_s):
    return Word(text, start_s, start_s + 0.3, 1.0)


def test_windows_go_over_at_the_word_that_both_heard():
    before = [at(" one", 8.0), at(" two", 9.0), at(" thr", 9.8)]
    after = [at(" oh", 8.9), at(" Two,", 9.1), at(" three", 9.6), at(" four", 10.2)]
    kept, rest = joined(before, after, 9.0, 10.0)
    assert [word.text for word in kept + rest] == [" one", " two", " three", " four"]


@pytest.mark.parametrize("silent", [0, 1])
def test_a_window_that_heard_nothing_takes_no_word_from_the_other(silent):
    words = [at(" hello", 9.1), at(" you", 9.6)]
    sides = (words, []) if silent else ([], words)
    kept, rest = joined(*sides, 9.0, 10.0)
    assert kept + rest == words


def test_windows_that_heard_nothing_alike_go_over_in_the_middle():
    kept, rest = joined([at(" a", 9.0), at(" b", 9.7)], [at(" c", 9.1), at(" d", 9.6)], 9.0, 10.0)
    assert [word.text for word in kept + rest] == [" a", " d"]
