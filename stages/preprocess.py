"""manifest, audio, tokenizer -> data/features: shards, index and rejects."""

from pathlib import Path

from asr import params
from pipelines.preprocess import Corpus, preprocess
from stages import stage


def main(manifest: Path, listing: Path, base: Path, features: Path, work: Path) -> None:
    preprocess(Corpus(manifest, listing), base, features, work, params.load())


if __name__ == "__main__":
    stage(main)
