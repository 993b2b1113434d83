"""Real clips and a checkpoint -> how fast ours, transformers' generate and CTranslate2 decode them, and how well.

python benchmarks/decode.py [--part speed|wer] [--model DIR --features DIR] [--clips N]

All decode greedily with the same weights, each in a process of its own with all cores that this one may use: ours at
the trained window and at 30 s, the others at 30 s. For speed they take turns on a few clips that fit into that window;
for word error rates, ours at that window and generate hear all. Without --model, base is trained at 10 s on clips of
Tux Paint first, and decodes others: for speed by one seed, for word error rates by several, whose errors in a clip are
drawn together. What a killed run of the same settings left in --work is not measured again.
"""

import argparse
import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from statistics import mean
from typing import Any

from lib import wer
from lib.corpora import tuxpaint_clips
from lib.processes import measured
from lib.results import RESULTS, Target, report, table
from lib.rows import Rows
from lib.trainings import prepared, train_as_ours

from asr.cache import cache_folder
from asr.errors import UserError
from asr.evaluate.scoring import metrics
from asr.features import FRAMES_PER_SECOND
from asr.models.whisper import EDGE_FRAMES, MAX_WINDOW_S, trained_window_s
from asr.shards import Index, ShardWriter, read_columns, read_examples, read_index, write_index

BENCHMARKS = Path(__file__).parent.resolve()
DTYPES = ("float32", "bf16")
COMPUTE_TYPES = ("float32", "int8")
TIMED_CLIPS = 64
REPEATS = 2
BOOTSTRAP_SAMPLES = 10_000
MIN_WORDS = 5_000
MAX_DIFFERENCE_POINTS = 0.5  # of WER
TO_GENERATE, TO_CTRANSLATE2 = 3.0, 2.0  # times as fast, at least, at the trained window
PARTS = ("speed", "wer")
# Models that are of use: trained on all clips that share no text with the test's, which are those of four words or
# more. One that hears every second word wrong differs by chance in so many that half a point takes hours to tell.
PLAN = wer.Plan(
    min_words=4,
    min_train_words=1,
    test_share=0.8,
    n_train=5_000,
    seeds=(1, 2),
    max_steps=150,
    batch_size=16,
    learning_rate=2e-5,
    warmup_steps=15,
    precision="auto",
)
Timed = Mapping[str, Sequence[Mapping[str, Any]]]  # of each way its repeats: clips, wall_s, peak_mb
Scored = Mapping[str, Mapping[str, Any]]  # of each way what `metrics` tells, generate's in float32 as `baseline`


def main() -> None:
    options = _options()
    work = options.work.resolve() / "benchmark-decode"  # a folder of its own, which can be removed
    measures: dict[str, Any] = {}
    targets: list[Target] = []
    try:
        models, features = ([options.model], options.features) if options.model else _trained(work, options.part)
        models, features = [model.resolve() for model in models], features.resolve()
        model = models[0]
        if "speed" in options.part:
            timed = _timed(work / "speed", model, features, options.clips or TIMED_CLIPS)
            print(_table_of_speeds(timed) + "\n")
            measures["speed"] = timed
            targets += _targets_of_speed(timed, trained_window_s(model))
        if "wer" in options.part:
            scores = _scored(work / "wer", models, features, options.clips)
            print(_table_of_scores(scores))
            measures["wer"] = scores
            targets.append(_target_of_scores(scores, trained_window_s(model)))
    except UserError as error:
        sys.exit(f"error: {error}")
    report("decode", measures, targets, options.results)
    if not options.keep:
        shutil.rmtree(work)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=PARTS, nargs="+", default=PARTS, help="only one of the two")
    parser.add_argument("--model", type=Path, help="directory of a checkpoint, instead of one trained for this")
    parser.add_argument(
        "--features", type=Path, default="data/features", help="of --model, whose test split is decoded"
    )
    parser.add_argument("--clips", type=int, help=f"only so many of them (for speed {TIMED_CLIPS}, for wer all)")
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


def _trained(work: Path, parts: Sequence[str]) -> tuple[list[Path], Path]:
    """base, fine-tuned as benchmarks/train.py does for its word error rates, and the features of its test clips.

    One model for speed, one a seed for word error rates.
    """
    plan = PLAN
    job = prepared(work / "job", wer.choose(tuxpaint_clips(work / "tuxpaint", plan.languages), plan), plan.checkpoint)
    models = []
    for seed in plan.seeds if "wer" in parts else plan.seeds[:1]:
        models.append(work / f"trained-{seed}" / "model")
        if not (models[-1] / "config.json").exists():
            train_as_ours(job, models[-1].parent, plan.training(seed))
    return models, job / "features"


def _ways(window_s: int) -> dict[str, tuple[str, str]]:
    """What ways/hearing.py calls each, by name."""
    ways = {}
    for dtype in DTYPES:
        ways[_generate(dtype)] = ("generate", dtype)
        for window in sorted({window_s, MAX_WINDOW_S}):
            ways[_ours(window, dtype)] = ("ours", f"{window}:{dtype}")
    return ways | {_ctranslate2(compute_type): ("ctranslate2", compute_type) for compute_type in COMPUTE_TYPES}


def _timed(work: Path, model: Path, features: Path, n_clips: int) -> Timed:
    """The repeats of each way, which take turns, so that what else the machine does meets all."""
    window_s = trained_window_s(model)
    clips = _copied(features, work / "clips", n_clips, window_s)
    rows = Rows(work, _settings(model, clips))
    ways = _ways(window_s)
    repeats = range(1, REPEATS + 1)
    for repeat, (name, way) in product(repeats, ways.items()):
        rows.get(f"{name}, {repeat}", _run, *way, model, clips)
    kept = ("clips", "wall_s", "peak_mb")
    return {name: [{key: rows.found[f"{name}, {repeat}"][key] for key in kept} for repeat in repeats] for name in ways}


def _scored(work: Path, models: Sequence[Path], features: Path, n_clips: int | None) -> Scored:
    """Of each way the scores over all models."""
    window_s = trained_window_s(models[0])
    ways = {name: _ways(window_s)[name] for name in (_generate("float32"), _ours(window_s, "float32"))}
    clips = _copied(features, work / "clips", n_clips, MAX_WINDOW_S)
    of_models = []
    for number, model in enumerate(models, 1):
        rows = Rows(work / f"model-{number}", _settings(model, clips))
        heard = {name: rows.get(name, _run, *way, model, clips)["hypotheses"] for name, way in ways.items()}
        of_models.append(heard)
    return _scores(clips, of_models)


def _settings(model: Path, clips: Path) -> dict[str, Any]:
    (entry,) = read_index(clips).splits["test"]
    weights = (model / "model.safetensors").stat()
    return {"model": str(model), "trained": weights.st_mtime, "clips": entry.sha256}


def _copied(features: Path, folder: Path, n_clips: int | None, max_s: int) -> Path:
    """`folder`, with so many clips of the test split, none longer than `max_s`, spread evenly, in one shard."""
    index = read_index(features)
    n_frames = read_columns(features, "test", ["n_frames"])["n_frames"].to_pylist()
    short = [row for row, n in enumerate(n_frames) if n - EDGE_FRAMES <= (max_s or MAX_WINDOW_S) * FRAMES_PER_SECOND]
    if not short:
        raise UserError(f"{features}: no clip of the test split fits into {max_s} s")
    taken = set(short if n_clips is None else short[:: max(1, len(short) // n_clips)][:n_clips])
    with ShardWriter(folder, "test/00000.parquet", index.n_mels, index.codec) as shard:
        for number, row in enumerate(read_examples(features, "test")):
            if number in taken:
                shard.write(row)
    assert shard.entry is not None
    write_index(folder, Index(index.fingerprint, index.n_mels, index.codec, {"test": [shard.entry]}))
    return folder


def _run(way: str, setting: str, model: Path, clips: Path) -> dict[str, Any]:
    out = clips / "heard.json"
    command = [sys.executable, str(BENCHMARKS / "ways" / "hearing.py"), way, setting, str(model), str(clips), str(out)]
    usage = measured(command, Path.cwd(), environment={"OMP_NUM_THREADS": str(len(os.sched_getaffinity(0)))})
    return {**json.loads(out.read_text(encoding="utf-8")), "peak_mb": usage.launcher_mb}


def _scores(clips: Path, of_models: Sequence[Mapping[str, Mapping[str, str]]]) -> Scored:
    """Of each way, by the hypotheses that each model had by each way."""
    test = read_columns(clips, "test", ["id", "language", "text"]).to_pylist()
    scores = {}
    for name in of_models[0]:
        pooled = [wer.predictions(test, heard[name], heard[_generate("float32")]) for heard in of_models]
        told = metrics([row for rows in pooled for row in rows], BOOTSTRAP_SAMPLES, seed=1)
        n_words = sum(len(row["text"].split()) for row in test)
        scores[name] = {**told, "n_clips": len(test), "n_words_heard_once": n_words, "n_models": len(of_models)}
    return scores


def _clips_per_s(repeats: Sequence[Mapping[str, Any]]) -> float:
    return mean(row["clips"] / row["wall_s"] for row in repeats)


def _table_of_speeds(timed: Timed) -> str:
    reference = _clips_per_s(timed[_generate("float32")])
    header = [f"{timed[_generate('float32')][0]['clips']} clips", "clips/s", "of each repeat"]
    header += ["to generate, float32", "peak memory, MB"]
    lines = []
    for name, repeats in timed.items():
        of_each = ", ".join(f"{_clips_per_s([repeat]):.2f}" for repeat in repeats)
        peak_mb = max(repeat["peak_mb"] for repeat in repeats)
        speed = _clips_per_s(repeats)
        lines.append([name, f"{speed:.2f}", of_each, f"{speed / reference:.2f}", f"{peak_mb:,.0f}"])
    return table(header, lines)


def _table_of_scores(scores: Scored) -> str:
    of_all = scores[_generate("float32")]
    heard = f"{of_all['n_clips']:,} clips, {of_all['n_words_heard_once']:,} words, {of_all['n_models']} models"
    header = [heard, "WER"]
    header.append("difference in points (95 % interval)")
    lines = []
    for name, score in scores.items():
        difference, (low, high) = score["wer"] - score["baseline"]["wer"], score["difference_interval"]
        told = f"{100 * difference:+.2f} ({100 * low:+.2f} to {100 * high:+.2f})"
        lines.append([name, f"{score['wer']:.2%}", told])
    return table(header, lines)


def _targets_of_speed(timed: Timed, window_s: int) -> list[Target]:
    def target(window: int, dtype: str, other: str, at_least: float) -> Target:
        ratio = _clips_per_s(timed[_ours(window, dtype)]) / _clips_per_s(timed[other])
        return Target(f"{_ours(window, dtype)} to {other}, times as fast", ratio, at_least=at_least)

    return [
        *(target(window_s, dtype, _generate(dtype), TO_GENERATE) for dtype in DTYPES),
        *(target(MAX_WINDOW_S, dtype, _generate(dtype), 1.0) for dtype in DTYPES),
        target(window_s, "float32", _ctranslate2("float32"), TO_CTRANSLATE2),
    ]


def _target_of_scores(scores: Scored, window_s: int) -> Target:
    score = scores[_ours(window_s, "float32")]
    enough = score["n_words_heard_once"] >= MIN_WORDS and len(score["language"]) > 1
    return Target(
        f"upper bound of WER({window_s} s) - WER(generate), points, on {MIN_WORDS:,} words or more",
        100 * score["difference_interval"][1] if enough else None,
        at_most=MAX_DIFFERENCE_POINTS,
    )


if __name__ == "__main__":
    main()
