"""The corpus of `data`, or the corpora of `data.sources` one after the other -> utterances, and what DVC compares.

Of a mixture each row bears the name of its corpus: `source` is it, ids and speakers begin with it, so that those of two
corpora are never taken for the same.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from asr.params import Data
from asr.sources import source
from asr.utterances import Rejected, Utterance


def utterances(data: Data, corpus: Path) -> Iterator[Utterance | Rejected]:
    """The rows of all corpora, in their order. What one makes or downloads goes into its own folder of `corpus`."""
    if not data.sources:
        yield from source(data.source).utterances(data, corpus)
    for name, part in data.parts().items():
        folder = corpus / name
        folder.mkdir(parents=True, exist_ok=True)
        yield from (_named(row, name) for row in source(part.source).utterances(part, folder))


def listing(data: Data) -> Iterator[tuple[str, str]]:
    """A `(name, version)` pair for each file of all corpora."""
    if not data.sources:
        yield from source(data.source).listing(data)
    for name, part in data.parts().items():
        yield from ((f"{name} {file}", version) for file, version in source(part.source).listing(part))


def _named(row: Utterance | Rejected, name: str) -> Utterance | Rejected:
    if isinstance(row, Rejected):
        return replace(row, id=f"{name}/{row.id}")
    speaker = None if row.speaker is None else f"{name}/{row.speaker}"
    # Without an id of its own the row is to be rejected for that.
    return replace(row, id=row.id and f"{name}/{row.id}", speaker=speaker, source=name)
