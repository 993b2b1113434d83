"""data, model and the files they name -> digests that change when a file does, for what DVC is not told to watch."""

from pathlib import Path

from asr import params
from asr.corpora.listing import of_directory, write
from asr.evaluate import sets
from asr.sources import mixture
from stages import stage


def main(corpus: Path, checkpoint: Path, test_sets: Path) -> None:
    choices = params.load()
    write(corpus, mixture.listing(choices.data))
    write(checkpoint, of_directory(Path(choices.model.checkpoint).expanduser()))
    write(test_sets, sets.listing(choices.evaluate.sets))


if __name__ == "__main__":
    stage(main)
