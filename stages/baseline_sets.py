"""base, further test sets -> data/baseline_sets: what the base checkpoint hears in each of them, at 30 s."""

from pathlib import Path

from asr import params
from asr.evaluate.hearing import base_at_30s
from asr.evaluate.predictions import write_hypotheses
from stages import stage


def main(base: Path, sets: Path, baselines: Path) -> None:
    evaluate = params.load().evaluate
    baselines.mkdir(parents=True, exist_ok=True)
    for name in evaluate.sets:
        heard = base_at_30s(base, sets / name, evaluate, f"{name}: base at 30 s")
        write_hypotheses(heard.hypotheses, heard.counts, baselines / name)


if __name__ == "__main__":
    stage(main)
