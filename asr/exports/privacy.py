"""Files to publish -> the places in them that tell of this machine: paths, addresses of stores, passwords, tokens."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

# They hold every substring of the world; the token alone is looked for in them.
VOCABULARIES = ("tokenizer.json", "vocab.json", "merges.txt", "vocabulary.json", "vocabulary.txt")
SAMPLE_BYTES = 8192  # a file with no zero byte in so many is text
MOST_HEADER_BYTES = 25_000_000  # safetensors reads no longer one itself
SHOWN_CHARACTERS = 120

PATH, PASSWORD, TOKEN = "a path on this machine", "a password", "a token"
# Not inside of a relative path, or of a page's address, as https://github.com/home/x; but after JSON's \n it is.
_START = r"(?:(?<![\w.~-])|(?<=\\[nrt]))"
_REST = r"""[^\s"'`<>()\[\]{},;|]*"""
_ROOTS = "home|root|opt|Users|mnt|media|Volumes|srv|scratch|workspace|data|tmp|var"
_LOCAL = r"localhost|127\.|0\.0\.0\.0|\[::1\]|10\.|192\.168\.|172\.(?:1[6-9]|2\d|3[01])\."
PRIVATE = [
    (PATH, rf"{_START}/(?:{_ROOTS})/\.?\w{_REST}"),
    (PATH, rf"{_START}[A-Za-z]:(?:\\\\?|/)\w{_REST}"),
    (PATH, rf"file://{_REST}"),
    (PATH, rf"{_START}~/\w{_REST}"),
    ("the address of a store", rf"(?:gs|s3|s3a|az|abfss?|hdfs)://\w{_REST}"),
    ("the address of a database", rf"(?:sqlite|postgresql|mysql|mssql)(?:\+\w+)?://{_REST}"),
    ("an address in this network", rf"https?://(?:{_LOCAL}){_REST}"),
    (PASSWORD, r"[a-z][\w+.-]{0,19}://[^\s/:@\"']+:[^\s/@\"']+@"),
    (TOKEN, r"hf_[A-Za-z0-9]{30,}"),
    (TOKEN, r"AKIA[A-Z0-9]{16}"),
]
Searched = tuple[str, re.Pattern[str]]


@dataclass(frozen=True)
class Hit:
    """A text that must not leave: the file that has it, its line from 1, what it is, and itself."""

    name: str
    line: int
    what: str
    text: str

    def __str__(self) -> str:
        """All but a secret, not even for its owner: what is printed may be kept in a log."""
        text = self.text
        if self.what == TOKEN:
            text = f"{text[:4]}..."
        elif self.what == PASSWORD:
            text = re.sub(r"(//[^:]*:).*", r"\1...@", text)
        return f"{self.name}, line {self.line}, {self.what}: {text[:SHOWN_CHARACTERS]}"


def private_texts(folder: Path, names: Iterable[str], places: Iterable[Path], token: str | None) -> list[Hit]:
    """All hits in files of `folder`: PRIVATE, the token, and paths below `places`, such as the user's home.

    Texts are searched, and the header of safetensors, which has room for remarks.
    """
    secret = [(TOKEN, re.escape(token))] if token else []
    # The root is in every path, and tells nothing.
    own = [(PATH, rf"{_START}{re.escape(str(place))}(?![\w-]){_REST}") for place in places if len(place.parts) > 1]
    narrow, wide = _compiled(secret), _compiled([*PRIVATE, *own, *secret])
    hits = [hit for name in names for hit in _hits(folder, name, narrow if Path(name).name in VOCABULARIES else wide)]
    return list(dict.fromkeys(hits))  # some are found by two patterns


def _compiled(patterns: Iterable[tuple[str, str]]) -> list[Searched]:
    return [(what, re.compile(pattern)) for what, pattern in patterns]


def _hits(folder: Path, name: str, patterns: list[Searched]) -> Iterator[Hit]:
    for number, line in enumerate(_lines(folder / name), start=1):
        for what, pattern in patterns:
            for found in pattern.finditer(line):
                yield Hit(name, number, what, found.group())


def _lines(path: Path) -> Iterator[str]:
    """Of a text. The header of safetensors is one line; other files have none."""
    with path.open("rb") as file:
        if path.suffix == ".safetensors":  # its length in 8 bytes, little-endian, and then JSON
            length = int.from_bytes(file.read(8), "little")
            yield file.read(min(length, MOST_HEADER_BYTES)).decode(errors="replace")
            return
        if b"\0" in file.read(SAMPLE_BYTES):
            return
    with path.open(encoding="utf-8", errors="replace") as text:
        yield from text
