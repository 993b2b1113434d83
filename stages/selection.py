"""features, agreement -> data/selection: which train utterances are trained on, and how often."""

from pathlib import Path

from asr import params
from asr.clips.plan import copies_of
from asr.corpora.shares import shares_of
from asr.progress import say
from asr.selection import files
from asr.selection.filters import COLUMNS
from asr.selection.heard import read_rates
from asr.selection.selection import Rules, all_of, rows_of, select
from asr.shards import read_columns, read_index
from stages import stage


def main(listing: Path, features: Path, agreement: Path, folder: Path) -> None:
    """`listing` is not read: DVC compares it."""
    choices = params.load()
    rules = Rules(
        clean=choices.data.clean,
        rates=read_rates(agreement),
        max_rate=choices.data.agreement.max_wer,
        shares=shares_of(choices.data),
        suffixes=[copy.suffix for copy in copies_of(choices.audio) if copy.suffix],
        seed=choices.data.seed,
    )
    columns = read_columns(features, "train", ["id", "duration_s"] if rules.keep_all else list(COLUMNS)).to_pydict()
    chosen = all_of(columns["id"], columns["duration_s"]) if rules.keep_all else select(rows_of(columns), rules)
    files.write(folder, chosen.ids, chosen.weights, chosen.set_aside, read_index(features))
    say(str(chosen))


if __name__ == "__main__":
    stage(main)
