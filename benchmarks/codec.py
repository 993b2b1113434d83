"""A fine-tuned checkpoint and real clips -> whether its word error rate moves when features are stored in 8 bits a bin.

python benchmarks/codec.py [--model data/model] [--features data/features] [--splits test validation]

The clips are decoded twice by the same checkpoint at its own window, from float16 features and from these put through
the uint8 codec; each clip's two hypotheses are compared in a paired bootstrap.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from lib.results import RESULTS, Target, report, table

from asr.errors import UserError
from asr.evaluate.decode import transcribe
from asr.evaluate.predictions import Prediction
from asr.evaluate.scoring import metrics
from asr.models.whisper import trained_window_s
from asr.shards import Index, ShardWriter, read_examples, read_index, write_index

CODECS = ("float16", "uint8")
SPLIT = "clips"  # the only one of the copies
BOOTSTRAP_SAMPLES = 10_000
MIN_WORDS = 5_000
MAX_DIFFERENCE_POINTS = 0.5  # of WER


def main() -> None:
    options = _options()
    try:
        predictions = _predictions(options)
    except UserError as error:
        sys.exit(f"error: {error}")
    scores = metrics(predictions, BOOTSTRAP_SAMPLES, seed=1)
    print(_table(scores))
    n_changed = sum(row.hypothesis != row.baseline for row in predictions)
    print(f"\n{n_changed:,} of {len(predictions):,} hypotheses differ; resampled by {scores['interval_unit']}")
    measures = {"uint8": scores, "float16": scores["baseline"], "hypotheses_that_differ": n_changed}
    report("codec", measures, _targets(scores), options.results)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default="data/model", help="directory of the checkpoint")
    parser.add_argument("--features", type=Path, default="data/features", help="folder of float16 features")
    parser.add_argument("--splits", nargs="+", default=["test", "validation"])
    parser.add_argument("--clips", type=int, help="only so many of each split")
    parser.add_argument("--precision", default="float32", help="of the encoder: float32 | bf16 | auto")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the JSON")
    return parser.parse_args()


def _predictions(options: argparse.Namespace) -> list[Prediction]:
    """uint8 stands where a tuned model would, float16 in the baseline's place: a difference is uint8 - float16."""
    index = read_index(options.features)
    if index.codec != "float16":
        raise UserError(
            f"{options.features} has codec {index.codec}; the comparison starts from features.codec float16"
        )
    if not options.model.is_dir():
        raise UserError(f"{options.model}: no such directory; `dvc repro train` makes it")
    rows = [row for split in options.splits for row in islice(read_examples(options.features, split), options.clips)]
    heard = {}
    with tempfile.TemporaryDirectory() as name:
        for codec in CODECS:
            folder = Path(name) / codec
            _copy(rows, index, codec, folder)
            window_s = trained_window_s(options.model)
            heard[codec] = transcribe(options.model, folder, SPLIT, window_s, options.precision, codec).hypotheses
    return [
        Prediction(row["id"], row["language"], row["speaker"], row["text"], uint8, uint8, heard["float16"][row["id"]])
        for row, uint8 in ((row, heard["uint8"][row["id"]]) for row in rows)
    ]


def _copy(rows: Sequence[dict[str, Any]], index: Index, codec: str, folder: Path) -> None:
    """The rows as features of their own, in one shard."""
    with ShardWriter(folder, f"{SPLIT}/00000.parquet", index.n_mels, codec) as shard:
        for row in rows:
            shard.write(row)
    assert shard.entry is not None
    write_index(folder, Index(index.fingerprint, index.n_mels, codec, {SPLIT: [shard.entry]}))


def _table(scores: dict[str, Any]) -> str:
    header = ["language", "utterances", "words", "WER float16", "WER uint8", "difference in points (95 % interval)"]
    return table(header, [*(_row(name, group) for name, group in scores["language"].items()), _row("all", scores)])


def _row(name: str, scores: dict[str, Any]) -> list[str]:
    before, after = scores["baseline"]["wer"], scores["wer"]
    low, high = scores["difference_interval"]
    return [
        name,
        f"{scores['n_utterances']:,}",
        f"{scores['n_words']:,}",
        f"{before:.2%}",
        f"{after:.2%}",
        f"{100 * (after - before):+.2f} ({100 * low:+.2f} to {100 * high:+.2f})",
    ]


def _targets(scores: dict[str, Any]) -> list[Target]:
    enough = scores["n_words"] >= MIN_WORDS and len(scores["language"]) > 1
    upper_points = 100 * scores["difference_interval"][1] if enough else None
    return [
        Target(
            f"upper bound of the WER difference, points, on {MIN_WORDS:,} words of several languages or more",
            upper_points,
            at_most=MAX_DIFFERENCE_POINTS,
        ),
    ]


if __name__ == "__main__":
    main()
