"""data, model and the files they name -> digests and choices that DVC compares, for what it is not told to watch."""

from pathlib import Path

from asr import params
from asr.corpora.listing import of_directory, write, write_choices
from asr.evaluate import sets
from asr.params import compared
from asr.sources import mixture
from stages import stage


def main(corpus: Path, checkpoint: Path, test_sets: Path, agreement: Path, cleaning: Path, exports: Path) -> None:
    choices = params.load()
    write(corpus, mixture.listing(choices.data), compared.corpus(choices))
    write(checkpoint, of_directory(Path(choices.model.checkpoint).expanduser()))
    write(test_sets, sets.listing(choices.evaluate.sets))
    write_choices(agreement, compared.agreement(choices))
    write_choices(cleaning, compared.cleaning(choices))
    write_choices(exports, compared.export(choices))


if __name__ == "__main__":
    stage(main)
