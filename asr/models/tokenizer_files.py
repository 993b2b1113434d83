"""A Whisper vocabulary (OpenAI's own, or a tokenizer.json) -> the tokenizer, and the one canonical file for it."""

import base64
import json
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

from tokenizers import AddedToken, Tokenizer
from transformers import WhisperTokenizer
from transformers.models.whisper.tokenization_whisper import LANGUAGES

END_OF_TEXT = "<|endoftext|>"
# The order gives the ids: https://github.com/openai/whisper/blob/main/whisper/tokenizer.py. Cantonese came with
# large-v3, whose vocabulary is one longer; <|nocaptions|> is what Hugging Face calls OpenAI's <|nospeech|>.
SPECIAL_TOKENS = (
    "<|startoftranscript|>",
    *(f"<|{code}|>" for code in LANGUAGES if code != "yue"),
    "<|translate|>",
    "<|transcribe|>",
    "<|startoflm|>",
    "<|startofprev|>",
    "<|nocaptions|>",
    "<|notimestamps|>",
)


def from_tiktoken(content: bytes) -> WhisperTokenizer:
    """The tokenizer of a `.tiktoken` file (a line per token: its bytes in base64, its rank), specials included."""
    ranks = {}
    for line in content.splitlines():
        token, rank = line.split()
        ranks[_text(base64.b64decode(token))] = int(rank)
    return _tokenizer(ranks | {END_OF_TEXT: len(ranks)}, merges(ranks), SPECIAL_TOKENS)


def from_json(content: bytes) -> WhisperTokenizer:
    """The tokenizer of a tokenizer.json that lies outside a checkpoint."""
    described = json.loads(content)
    added = {token["content"]: token["id"] for token in described["added_tokens"]}
    vocabulary = described["model"]["vocab"]
    ranks = {token: rank for token, rank in vocabulary.items() if token not in added}
    tokenizer = _tokenizer(vocabulary, merges(ranks), [token for token in added if token not in vocabulary])
    assert all(tokenizer.convert_tokens_to_ids(token) == token_id for token, token_id in added.items())
    return tokenizer


def merges(ranks: dict[str, int]) -> list[tuple[str, str]]:
    """The merge that makes each token of a byte-level vocabulary, in the order in which they apply.

    A rank says when its token was learnt, so the merge is found by encoding the token's own bytes with all earlier
    ones: tiktoken's files hold no merges and need none. A token that nothing makes (whisper has an empty one) has none.
    """
    made = []
    for token, rank in sorted(ranks.items(), key=lambda item: item[1]):
        parts = list(token)
        while len(parts) > 2:
            pairs = [ranks.get(left + right, rank) for left, right in pairwise(parts)]
            first = min(range(len(pairs)), key=pairs.__getitem__)
            if pairs[first] >= rank:
                break
            parts[first : first + 2] = [parts[first] + parts[first + 1]]
        if len(parts) == 2:
            made.append((parts[0], parts[1]))
    return made


def write_canonical(path: Path) -> int:
    """Rewrites a tokenizer.json so that the same tokenizer has the same bytes; returns how many merges it lacked.

    Padding and truncation go. Merges that are missing come back: OpenAI's merges.txt has no header, a reader that
    skips its first line loses `Ġ t`, and then " the" is two tokens that the model never saw together in training.
    """
    described = json.loads(Tokenizer.from_file(str(path)).to_str())
    described["padding"] = described["truncation"] = None
    added = {token["content"] for token in described["added_tokens"]}
    ranks = {token: rank for token, rank in described["model"]["vocab"].items() if token not in added}
    present = {tuple(merge) for merge in described["model"]["merges"]}
    made = {left + right for left, right in present}
    n_missing = 0
    if any(len(token) > 1 and token not in made for token in ranks):
        complete = merges(ranks)
        if present < set(complete):  # otherwise somebody's own vocabulary, which is theirs to keep
            described["model"]["merges"] = complete
            n_missing = len(complete) - len(present)
    Tokenizer.from_str(json.dumps(described)).save(str(path), pretty=False)
    return n_missing


def _text(token: bytes) -> str:
    """`token` with a printable letter for each byte, as byte-level BPE writes it."""
    return "".join(_LETTERS[byte] for byte in token)


def _byte_letters() -> list[str]:
    """GPT-2's letter for each of the 256 bytes: itself where it is printable, else the next one from U+0100 on."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    spare = iter(range(0x100, 0x200))
    return [chr(byte if byte in printable else next(spare)) for byte in range(256)]


_LETTERS = _byte_letters()


def _tokenizer(vocabulary: dict[str, int], pairs: list[tuple[str, str]], specials: Iterable[str]) -> WhisperTokenizer:
    names = list(specials)
    tokenizer = WhisperTokenizer(vocab=vocabulary, merges=pairs, pad_token=END_OF_TEXT)
    tokenizer.add_tokens([AddedToken(token, special=True, normalized=False) for token in names])
    # Otherwise transformers takes them for timestamps as it reads times out of what was heard.
    tokenizer.add_special_tokens({"extra_special_tokens": names})
    tokenizer.set_prefix_tokens()
    return tokenizer
