"""The corpus that needs no recordings: sentences of five grammars, spoken by eSpeak NG."""

import os
from collections.abc import Iterator
from pathlib import Path

from asr.params import Data
from asr.utterances import Rejected, Utterance


def utterances(data: Data, corpus: Path) -> Iterator[Utterance | Rejected]:
    """Speaks every clip of the plan into `corpus/<language>/<id>.flac`; a `Rejected` where eSpeak NG fails."""
    from asr.corpora.synthesis import plan, synthesise  # here, because `listing` runs often and needs no numpy

    yield from synthesise(plan(data), corpus, n_processes=os.cpu_count() or 1)


def listing(data: Data) -> Iterator[tuple[str, str]]:
    """Nothing: all of this corpus is made here."""
    yield from ()
