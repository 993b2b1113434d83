"""model -> data/base: the checkpoint that training starts from, its tokenizer and its mel settings."""

from pathlib import Path

from asr import params
from asr.models.base import fetch
from stages import stage


def main(listing: Path, base: Path) -> None:
    """`listing` is not read: DVC compares it, so that this stage runs again when a checkpoint's directory changes."""
    fetch(params.load().model, base)


if __name__ == "__main__":
    stage(main)
