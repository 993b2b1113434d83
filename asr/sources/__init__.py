"""Corpus layouts, a file each: params and the corpus' own files -> utterances.

A source is a module with two functions, `SOURCES` names them:

- `utterances(data, corpus)` yields an `Utterance` or a `Rejected` for every row, in a stable order. What it makes or
  downloads goes into the directory `corpus`; what lies elsewhere is only referred to.
- `listing(data)` yields a `(name, version)` pair for each file outside the project that the corpus consists of, where
  the version changes when the file does. It must be cheap: it runs at every `dvc repro`.
"""

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, cast, get_args

from asr import params
from asr.params import Data
from asr.utterances import Rejected, Utterance

SOURCES = get_args(params.Source)


class Source(Protocol):
    def utterances(self, data: Data, corpus: Path) -> Iterator[Utterance | Rejected]: ...

    def listing(self, data: Data) -> Iterator[tuple[str, str]]: ...


def source(name: str) -> Source:
    """The module of a source; imported here, so that a source's own dependencies are needed only when it is used."""
    assert name in SOURCES, name
    return cast(Source, importlib.import_module(f"asr.sources.{name}"))
