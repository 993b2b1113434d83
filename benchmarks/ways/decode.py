"""A checkpoint and features -> OUT_JSON: what it hears in each clip of the test split, by the clip's id.

python benchmarks/ways/decode.py MODEL FEATURES WINDOW_S PRECISION OUT_JSON
"""

import json
import sys
from pathlib import Path

from asr.evaluate.decode import transcribe


def main(model: str, features: str, window_s: str, precision: str, out: str) -> None:
    heard = transcribe(Path(model), Path(features), "test", int(window_s), precision, Path(out).stem)
    Path(out).write_text(json.dumps(heard.hypotheses, ensure_ascii=False, indent=0), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
