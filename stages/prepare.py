"""data and the corpus -> data/manifest: utterances and rejects; data/corpus: the audio that is made or downloaded."""

import shutil
from pathlib import Path

from asr import params
from asr.corpora import corpus as corpora
from asr.progress import say
from asr.sources import mixture
from stages import stage


def main(listing: Path, corpus: Path, folder: Path) -> None:
    """`listing` is not read: DVC compares it, so that this stage runs again when the corpus changes."""
    data = params.load().data
    shutil.rmtree(corpus, ignore_errors=True)
    corpus.mkdir(parents=True)
    say(str(corpora.write(mixture.utterances(data, corpus), folder, data)))


if __name__ == "__main__":
    stage(main)
