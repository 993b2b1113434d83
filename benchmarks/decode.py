"""Real clips and a checkpoint -> how fast ours, transformers' generate and CTranslate2 decode them, and how well.

python benchmarks/decode.py [--model DIR --features DIR] [--clips N]

All decode the same clips greedily with the same weights, each in a process of its own with all cores that this one may
use: ours at the trained window and at 30 s, the others at 30 s. Without --model, base is trained at 10 s on Tux Paint's
clips first, and decodes others. Rows that a killed run of the same settings left in --work are not measured again.
"""

import argparse
import json
import os
import shutil
import sys
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from lib import wer
from lib.corpora import tuxpaint_clips
from lib.processes import measured
from lib.results import RESULTS, Target, report, table
from lib.rows import Rows
from lib.trainings import Training, prepared, train_as_ours

from asr.cache import cache_folder
from asr.errors import UserError
from asr.scoring import metrics
from asr.shards import Index, ShardWriter, read_columns, read_examples, read_index, write_index
from asr.whisper import trained_window_s

BENCHMARKS = Path(__file__).parent.resolve()
DTYPES = ("float32", "bf16")
COMPUTE_TYPES = ("float32", "int8")
BOOTSTRAP_SAMPLES = 10_000
MIN_WORDS = 5_000
MAX_DIFFERENCE_POINTS = 0.5  # of WER
TO_GENERATE, TO_CTRANSLATE2 = 3.0, 2.0  # times as fast, at least, at the trained window
Found = Mapping[str, Any]  # of a way: clips, wall_s, hypotheses, peak_mb


def main() -> None:
    options = _options()
    work = options.work.resolve() / "benchmark-decode"  # a folder of its own, which can be removed
    try:
        model, features = (options.model, options.features) if options.model else _trained(work)
        rows = _measure(work, model.resolve(), features.resolve(), options.clips)
    except UserError as error:
        sys.exit(f"error: {error}")
    window_s = trained_window_s(model)
    scores = _scores(work / "clips", rows)
    print(f"{rows[_generate('float32')]['clips']:,} clips, {scores[_ours(30, 'float32')]['n_words']:,} words\n")
    print(_table(rows, scores) + "\n")
    measures = {
        name: {**{key: value for key, value in row.items() if key != "hypotheses"}, "scores": scores[name]}
        for name, row in rows.items()
    }
    report("decode", measures, _targets(rows, scores, window_s), options.results)
    if not options.keep:
        shutil.rmtree(work)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="directory of a checkpoint, instead of one trained for this")
    parser.add_argument(
        "--features", type=Path, default="data/features", help="of --model, whose test split is decoded"
    )
    parser.add_argument("--clips", type=int, help="only so many of them")
    parser.add_argument("--work", type=Path, default=cache_folder(), help="folder of what is made")
    parser.add_argument("--keep", action="store_true", help="leave that folder at the end")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the JSON")
    return parser.parse_args()


def _ours(window_s: int, dtype: str) -> str:
    return f"ours, {window_s} s, {dtype}"


def _generate(dtype: str) -> str:
    return f"transformers' generate, 30 s, {dtype}"


def _ctranslate2(compute_type: str) -> str:
    return f"CTranslate2, 30 s, {compute_type}"


def _trained(work: Path) -> tuple[Path, Path]:
    """base, fine-tuned as benchmarks/train.py does for its word error rates, and the features of its test clips."""
    plan = wer.Plan()
    job = prepared(work / "job", wer.choose(tuxpaint_clips(work / "tuxpaint", plan.languages), plan), plan.checkpoint)
    training = Training(
        plan.max_steps,
        plan.batch_size,
        plan.seeds[0],
        plan.precision,
        plan.window_s,
        learning_rate=plan.learning_rate,
        warmup_steps=plan.warmup_steps,
    )
    model = work / "trained" / "model"
    if not (model / "config.json").exists():
        train_as_ours(job, work / "trained", training)
    return model, job / "features"


def _measure(work: Path, model: Path, features: Path, n_clips: int | None) -> dict[str, Found]:
    """The rows by name."""
    clips = work / "clips"
    _copy(features, clips, n_clips)
    rows = Rows(work, {"model": str(model), "features": read_index(features).fingerprint, "clips": n_clips})
    for dtype in DTYPES:
        rows.get(_generate(dtype), _run, "generate", dtype, model, clips)
        for window_s in sorted({trained_window_s(model), 30}):
            rows.get(_ours(window_s, dtype), _run, "ours", f"{window_s}:{dtype}", model, clips)
    for compute_type in COMPUTE_TYPES:
        rows.get(_ctranslate2(compute_type), _run, "ctranslate2", compute_type, model, clips)
    return rows.found


def _copy(features: Path, folder: Path, n_clips: int | None) -> None:
    """The first clips of the test split as features of their own, in one shard."""
    index = read_index(features)
    with ShardWriter(folder, "test/00000.parquet", index.n_mels, index.codec) as shard:
        for row in islice(read_examples(features, "test"), n_clips):
            shard.write(row)
    assert shard.entry is not None
    write_index(folder, Index(index.fingerprint, index.n_mels, index.codec, {"test": [shard.entry]}))


def _run(way: str, setting: str, model: Path, clips: Path) -> dict[str, Any]:
    out = clips / "heard.json"
    command = [sys.executable, BENCHMARKS / "ways" / "hearing.py", way, setting, model, clips, out]
    usage = measured(command, Path.cwd(), environment={"OMP_NUM_THREADS": str(len(os.sched_getaffinity(0)))})
    return {**json.loads(out.read_text(encoding="utf-8")), "peak_mb": usage.launcher_mb}


def _scores(clips: Path, rows: Mapping[str, Found]) -> dict[str, Any]:
    """Of each way, with generate's in float32 as `baseline`."""
    test = read_columns(clips, "test", ["id", "language", "text"]).to_pylist()
    reference = rows[_generate("float32")]["hypotheses"]
    return {
        name: metrics(wer.predictions(test, row["hypotheses"], reference), BOOTSTRAP_SAMPLES, seed=1)
        for name, row in rows.items()
    }


def _clips_per_s(row: Found) -> float:
    return row["clips"] / row["wall_s"]


def _table(rows: Mapping[str, Found], scores: Mapping[str, Any]) -> str:
    reference = _clips_per_s(rows[_generate("float32")])
    header = ["", "clips/s", "to generate, float32", "peak memory, MB", "WER", "difference in points (95 % interval)"]
    lines = []
    for name, row in rows.items():
        after, before = scores[name]["wer"], scores[name]["baseline"]["wer"]
        low, high = scores[name]["difference_interval"]
        lines.append(
            [
                name,
                f"{_clips_per_s(row):.2f}",
                f"{_clips_per_s(row) / reference:.2f}",
                f"{row['peak_mb']:,.0f}",
                f"{after:.2%}",
                f"{100 * (after - before):+.2f} ({100 * low:+.2f} to {100 * high:+.2f})",
            ]
        )
    return table(header, lines)


def _targets(rows: Mapping[str, Found], scores: Mapping[str, Any], window_s: int) -> list[Target]:
    def ratio(ours: str, other: str) -> float:
        return _clips_per_s(rows[ours]) / _clips_per_s(rows[other])

    short = _ours(window_s, "float32")
    enough = scores[short]["n_words"] >= MIN_WORDS and len(scores[short]["language"]) > 1
    of_dtypes = [
        target
        for dtype in DTYPES
        for target in (
            Target(
                f"{window_s} s to generate, both {dtype}, times as fast",
                ratio(_ours(window_s, dtype), _generate(dtype)),
                at_least=TO_GENERATE,
            ),
            Target(
                f"30 s to generate, both {dtype}, times as fast",
                ratio(_ours(30, dtype), _generate(dtype)),
                at_least=1.0,
            ),
        )
    ]
    return [
        *of_dtypes,
        Target(
            f"{window_s} s to CTranslate2, both float32, times as fast",
            ratio(short, _ctranslate2("float32")),
            at_least=TO_CTRANSLATE2,
        ),
        Target(
            f"upper bound of WER({window_s} s) - WER(generate), points, on {MIN_WORDS:,} words or more",
            100 * scores[short]["difference_interval"][1] if enough else None,
            at_most=MAX_DIFFERENCE_POINTS,
        ),
    ]


if __name__ == "__main__":
    main()
