"""base, features -> data/agreement: what the base checkpoint hears in the train split, where it is asked to."""

import shutil
from pathlib import Path

from asr import params
from asr.clips.plan import copies_of
from asr.selection import heard
from stages import stage


def main(listing: Path, base: Path, features: Path, folder: Path, work: Path) -> None:
    """`listing` is not read: DVC compares it."""
    choices = params.load()
    if choices.data.agreement.heard_by == "none":
        heard.write_nothing(folder)
        return
    from asr.selection import agreement  # with torch, which takes seconds to import

    suffixes = [copy.suffix for copy in copies_of(choices.audio) if copy.suffix]
    agreement.hear(base, features, folder, work, choices.evaluate.precision, suffixes)
    shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    stage(main)
