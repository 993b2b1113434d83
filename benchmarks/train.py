"""Real clips -> what training costs the notebook's way and ours, and the word error rates that either ends with.

python benchmarks/train.py [--part wer] [--part speed]

wer: base on Tux Paint's clips in seven languages, four seeds, and tiny.en on Asterisk's English prompts (where apt has
them); two hours on two cores. speed: both on the same clips, each row a process with all cores that this one may use;
a quarter of an hour for each checkpoint on two cores. Rows that a killed run of the same settings has left in the
folder of --work are not measured again.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from lib import speed, wer
from lib.corpora import tuxpaint_clips
from lib.prompts import prompts
from lib.results import RESULTS, Target, report, table
from lib.speed import DTYPES, Row, as_it_stands, ours, without_checkpointing

from asr.cache import cache_folder
from asr.corpora import manifest
from asr.errors import UserError
from asr.utterances import Utterance

BASE, TINY = "openai/whisper-base", "openai/whisper-tiny.en"
WINDOW_S = 10  # the default in params.yaml, of which all this claims something
MIN_WORDS = 5_000
MAX_DIFFERENCE_POINTS = 0.5  # of WER
WER_RESULTS = "train_wer", "train_wer_prompts"
SAME_DTYPE, TO_NOTEBOOK = 4.5, 9.0  # times as fast, at least
# The prompts are too few for a claim of accuracy: what they say is shown beside the speed.
PROMPTS = wer.Plan(("en",), min_words=3, min_train_words=2, test_share=0.5, n_train=160, seeds=(1,), checkpoint=TINY)


def main() -> None:
    options = _options()
    options.work /= "benchmark-train"  # a folder of its own, which can be removed
    try:
        if options.part != "speed":
            _report_wer(options)
            if TINY in options.checkpoints:
                _report_prompts(options)
        if options.part != "wer":
            _report_speed(options)
    except UserError as error:
        sys.exit(f"error: {error}")
    if not options.keep:
        shutil.rmtree(options.work)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=["wer", "speed"], help="only this one")
    parser.add_argument("--work", type=Path, default=cache_folder(), help="folder of what is made")
    parser.add_argument("--keep", action="store_true", help="leave that folder at the end")
    parser.add_argument("--manifest", type=Path, help="folder of the manifest of other clips, for all rows")
    parser.add_argument("--checkpoints", nargs="+", default=[BASE, TINY], help="of the speed part; the first one's")
    parser.add_argument("--wer", type=json.loads, default={}, help="JSON: other values of the fields of lib.wer.Plan")
    parser.add_argument("--speed", type=json.loads, default={}, help="JSON: the same of lib.speed.Plan")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the JSON")
    options = parser.parse_args()
    options.work = options.work.resolve()
    return options


def _clips(options: argparse.Namespace, checkpoint: str) -> list[Utterance]:
    if options.manifest:
        return list(manifest.read(options.manifest))
    if checkpoint.endswith(".en"):
        return prompts(options.work / "prompts")
    return tuxpaint_clips(options.work / "tuxpaint", wer.Plan.languages)


def _report_wer(options: argparse.Namespace) -> None:
    plan = replace(wer.Plan(), **{name: _frozen(value) for name, value in options.wer.items()})
    found = wer.measure(options.work / "wer", _clips(options, plan.checkpoint), plan)
    print(_wer_text(found, plan) + "\n")
    report(WER_RESULTS[0], found, _wer_targets(found), options.results)


def _report_prompts(options: argparse.Namespace) -> None:
    if clips := _clips(options, PROMPTS.checkpoint):
        found = wer.measure(options.work / "prompts-wer", clips, PROMPTS)
        print(_wer_text(found, PROMPTS) + "\n")
        report(WER_RESULTS[1], found, [], options.results)
    else:
        print(f"{PROMPTS.checkpoint}: left out, because apt does not have its English prompts", file=sys.stderr)


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _wer_text(found: Mapping[str, Any], plan: wer.Plan) -> str:
    rows = [("all seeds", found["pooled"]), *((f"seed {seed}", scores) for seed, scores in found["seeds"].items())]
    rows += [(f"all seeds, {name}", scores) for name, scores in found["pooled"]["language"].items()]
    header = ["", "WER the notebook's way", f"WER ours, {plan.window_s} s", "difference in points (95 % interval)"]
    return "\n".join(
        [
            f"{plan.checkpoint}: {plan.n_train} clips to train on, {plan.max_steps} steps of {plan.batch_size}; "
            f"{found['n_clips']:,} to test, {found['n_words']:,} words\n",
            table(header, [_wer_row(*row) for row in rows]),
        ]
    )


def _wer_row(name: str, scores: Mapping[str, Any]) -> list[str]:
    before, after = scores["baseline"]["wer"], scores["wer"]
    low, high = scores["difference_interval"]
    return [
        name,
        f"{before:.2%}",
        f"{after:.2%}",
        f"{100 * (after - before):+.2f} ({100 * low:+.2f} to {100 * high:+.2f})",
    ]


def _wer_targets(found: Mapping[str, Any]) -> list[Target]:
    enough = found["n_words"] >= MIN_WORDS and len(found["pooled"]["language"]) > 1 and len(found["seeds"]) > 2
    return [
        Target(
            f"WER(ours) - WER(notebook's) at most, points; {found['n_words']:,} words, {len(found['seeds'])} seeds",
            100 * found["pooled"]["difference_interval"][1] if enough else None,
            at_most=MAX_DIFFERENCE_POINTS,
        )
    ]


def _report_speed(options: argparse.Namespace) -> None:
    measured: dict[str, Any] = {}
    targets = []
    for checkpoint in options.checkpoints:
        name = Path(checkpoint).name
        clips = _clips(options, checkpoint)
        if not clips:
            print(f"{name}: left out, because apt does not have its English prompts", file=sys.stderr)
            continue
        rows = speed.measure(options.work / name, clips, replace(speed.Plan(checkpoint), **options.speed))
        errors = _errors(options, checkpoint)
        print(f"{checkpoint}\n\n{_speed_table(rows, errors)}\n")
        measured[name] = {"rows": {way: asdict(row) for way, row in rows.items()}, "wer": errors}
        targets += _speed_targets(name, rows) if checkpoint == options.checkpoints[0] else []
    report("train_speed", measured, targets, options.results)


def _errors(options: argparse.Namespace, checkpoint: str) -> dict[str, float]:
    """Word error rates by row, where the other part has measured them."""
    for path in (options.results / f"{name}.json" for name in WER_RESULTS):
        if path.exists():
            found = json.loads(path.read_text(encoding="utf-8"))["measured"]
            plan = replace(wer.Plan(), **found["plan"])
            if plan.checkpoint == checkpoint:
                rates = found["pooled"]["baseline"]["wer"], found["pooled"]["wer"]
                return dict(
                    zip(
                        (without_checkpointing(plan.precision), ours(plan.window_s, plan.precision)), rates, strict=True
                    )
                )
    return {}


def _speed_table(rows: Mapping[str, Row], errors: Mapping[str, float]) -> str:
    header = ["", "clips/s", "s a step", "peak memory, MB", "to the notebook as it stands, float32"]
    header += ["the same dtype", "without its checkpointing, the same dtype", "to ours at 30 s, the same dtype", "WER"]
    lines = []
    for name, row in rows.items():
        dtype = name.rpartition(", ")[2]
        references = (as_it_stands("float32"), as_it_stands(dtype), without_checkpointing(dtype), ours(30, dtype))
        lines.append(
            [
                name,
                f"{row.clips_per_s:.2f}",
                f"{row.s_a_step:.2f}",
                f"{row.peak_mb:,.0f}",
                *(f"{row.clips_per_s / rows[reference].clips_per_s:.2f}" for reference in references),
                f"{errors[name]:.1%}" if name in errors else "-",
            ]
        )
    return table(header, lines)


def _speed_targets(name: str, rows: Mapping[str, Row]) -> list[Target]:
    def ratio(ours_dtype: str, reference: str) -> float:
        return rows[ours(WINDOW_S, ours_dtype)].clips_per_s / rows[reference].clips_per_s

    same = [
        Target(
            f"{name}, {WINDOW_S} s to the notebook, both {dtype}, times as fast",
            ratio(dtype, as_it_stands(dtype)),
            at_least=SAME_DTYPE,
        )
        for dtype in DTYPES
    ]
    return [
        *same,
        Target(
            f"{name}, {WINDOW_S} s and bf16 to the notebook as it stands, times as fast",
            ratio("bf16", as_it_stands("float32")),
            at_least=TO_NOTEBOOK,
        ),
    ]


if __name__ == "__main__":
    main()
