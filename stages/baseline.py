"""base, features -> data/baseline: what the base checkpoint hears in the test split, at 30 s."""

from pathlib import Path

from asr import params
from asr.evaluate.hearing import base_at_30s
from asr.evaluate.predictions import write_hypotheses
from stages import stage


def main(base: Path, features: Path, baseline: Path) -> None:
    heard = base_at_30s(base, features, params.load().evaluate, "base at 30 s")
    write_hypotheses(heard.hypotheses, heard.counts, baseline)


if __name__ == "__main__":
    stage(main)
