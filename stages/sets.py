"""evaluate.sets -> data/sets: features of each further test set, and the index of those that were made elsewhere."""

import shutil
from pathlib import Path

from asr import params
from asr.corpora import corpus as corpora
from asr.evaluate.sets import adopt, as_test
from asr.progress import say
from asr.sources import mixture
from pipelines.preprocess import Corpus, preprocess
from stages import stage


def main(listing: Path, base: Path, sets: Path, work: Path) -> None:
    choices = params.load()
    sets.mkdir(parents=True, exist_ok=True)
    for name, chosen in choices.evaluate.sets.items():
        features = sets / name
        if chosen.features is not None:
            adopt(name, Path(chosen.features), base, features)
            continue
        say(f"test set {name}")
        made, audio = Corpus(work / name / "manifest", listing), work / name / "corpus"
        audio.mkdir(parents=True, exist_ok=True)
        rows = as_test(mixture.utterances(chosen, audio))
        say(str(corpora.write(rows, made.manifest, chosen, splits=["test"])))
        preprocess(made, base, features, work / name / "shards", choices)
        shutil.rmtree(work / name)


if __name__ == "__main__":
    stage(main)
