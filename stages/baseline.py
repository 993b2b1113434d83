"""base, features -> data/baseline: what the base checkpoint hears in the test split, at 30 s."""

from pathlib import Path

from asr import params
from asr.decode import transcribe
from asr.predictions import write_hypotheses
from asr.whisper import MAX_WINDOW_S
from stages import stage


def main(base: Path, features: Path, baseline: Path) -> None:
    precision = params.load().evaluate.precision
    heard = transcribe(base, features, "test", MAX_WINDOW_S, precision, "base at 30 s")
    write_hypotheses(heard.hypotheses, baseline)


if __name__ == "__main__":
    stage(main)
