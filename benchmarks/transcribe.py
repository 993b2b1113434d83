"""Real recordings and a checkpoint -> how fast, how well and in how much memory ours and other tools transcribe them.

python benchmarks/transcribe.py [--model DIR --manifest DIR] [--clips N] [--ways WAY ...]

Short clips first, each a file; then the same clips of each language joined into one long recording, with pauses. Each
way is a process of its own with all cores, and they take turns. Without --model, base is trained at 10 s on clips of
Tux Paint first, and others of them are transcribed. openai-whisper needs an extra that nothing else does: `pip install
'.[compare]'`; it is left out, and said so, where that is missing. What a killed run left in --work is not done again.
"""

import argparse
import importlib.util
import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from statistics import mean
from typing import Any

import jiwer
import numpy as np
import soundfile
import soxr
from lib import wer
from lib.corpora import tuxpaint_clips
from lib.processes import measured
from lib.results import RESULTS, Target, report, table
from lib.rows import Rows
from lib.trainings import prepared, train_as_ours

from asr.cache import cache_folder
from asr.corpora import manifest
from asr.errors import UserError
from asr.features import RATE_HZ
from asr.models.whisper import trained_window_s
from asr.utterances import Utterance

WAY = Path(__file__).parent.resolve() / "ways" / "transcription.py"
CLIPS, REPEATS = 48, 2
PAUSE_S = (0.4, 1.2)  # between two joined clips
HISS = 1e-4  # of full scale, in the pauses
BOOTSTRAP_SAMPLES = 10_000
TO_FASTER_WHISPER = 2.0  # times as fast, at least
PLAN = wer.Plan(min_words=4, test_share=0.8, seeds=(1,), precision="auto")
WAYS = {
    "ours": "ours, torch float32",
    "ours-ctranslate2": "ours, CTranslate2 float32",
    "ours-int8": "ours, CTranslate2 int8",
    "faster-whisper": "faster-whisper, float32",
    "faster-whisper-int8": "faster-whisper, int8",
    "pipeline": "transformers' pipeline, float32",
    "openai": "openai-whisper, float32",
}


def main() -> None:
    options = _options()
    work = options.work.resolve() / "benchmark-transcribe"
    try:
        if options.model:
            model, folder = options.model.resolve(), options.manifest
        else:
            model, folder = _trained(work)
        clips = _clips(folder, options.clips, trained_window_s(model) or 30)
        ways = [way for way in options.ways if way != "openai" or _has_openai()]
        joined = _joined(clips, work / "joined")
        rows = Rows(work, {"model": str(model), "clips": [clip.id for clip in clips]})
        short = [(clip.audio, clip.language) for clip in clips]
        long = [(str(path), language) for language, path in joined.items()]
        files = {"short": short, "long": long}
        for repeat, name, kind in product(range(1, REPEATS + 1), ways, files):
            rows.get(f"{name}, {kind}, {repeat}", _run, name, model, files[kind], work)
    except UserError as error:
        sys.exit(f"error: {error}")
    scores = {name: _scored(rows, name, clips, joined) for name in ways}
    audio_s = sum(soundfile.info(clip.audio).duration for clip in clips)
    print(_table(scores, audio_s, len(clips)))
    report("transcribe", {"clips": len(clips), "audio_s": audio_s, "ways": scores}, _targets(scores), options.results)
    if not options.keep:
        shutil.rmtree(work)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="directory of a checkpoint, instead of one trained for this")
    parser.add_argument("--manifest", type=Path, default="data/manifest", help="of --model, whose test split is heard")
    parser.add_argument("--clips", type=int, default=CLIPS, help=f"so many of them (default {CLIPS})")
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS), help="only these")
    parser.add_argument("--work", type=Path, default=cache_folder(), help="folder of what is made")
    parser.add_argument("--keep", action="store_true", help="leave that folder at the end")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the JSON")
    return parser.parse_args()


def _has_openai() -> bool:
    found = importlib.util.find_spec("whisper") is not None
    if not found:
        print("LEFT OUT: openai-whisper, which is not installed: pip install '.[compare]'", file=sys.stderr)
    return found


def _trained(work: Path) -> tuple[Path, Path]:
    """base, fine-tuned as benchmarks/decode.py does, and the manifest of the clips that it has not heard."""
    job = prepared(work / "job", wer.choose(tuxpaint_clips(work / "tuxpaint", PLAN.languages), PLAN), PLAN.checkpoint)
    model = work / "trained" / "model"
    if not (model / "config.json").exists():
        train_as_ours(job, model.parent, PLAN.training(PLAN.seeds[0]))
    return model, job / "manifest"


def _clips(folder: Path, n_clips: int, longest_s: int) -> list[Utterance]:
    """Of the test split, spread evenly, whole files that fit into the checkpoint's window."""
    test = [row for row in manifest.read(folder) if row.split == "test" and row.duration_s is not None]
    short = [row for row in test if not row.start_s and row.duration_s is not None and row.duration_s <= longest_s]
    if not short:
        raise UserError(f"{folder}: no test clip in a file of its own that fits into {longest_s} s")
    return short[:: max(1, len(short) // n_clips)][:n_clips]


def _joined(clips: Sequence[Utterance], folder: Path) -> dict[str, Path]:
    """By language: its clips one after the other, with pauses between them."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(1)
    paths = {}
    for language in sorted({clip.language for clip in clips}):
        parts = []
        for clip in clips:
            if clip.language == language:
                samples, rate_hz = soundfile.read(clip.audio, dtype="float32", always_2d=True)
                pause = HISS * rng.standard_normal(round(RATE_HZ * rng.uniform(*PAUSE_S)))
                parts += [soxr.resample(samples.mean(axis=1), rate_hz, RATE_HZ), pause.astype(np.float32)]
        paths[language] = folder / f"{language}.wav"
        soundfile.write(paths[language], np.concatenate(parts), RATE_HZ)
    return paths


def _run(way: str, model: Path, files: Sequence[tuple[str, str]], work: Path) -> dict[str, Any]:
    asked, out = work / "recordings.json", work / "heard.json"
    asked.write_text(json.dumps(files), encoding="utf-8")
    command = [sys.executable, str(WAY), way, str(model), str(asked), str(out)]
    usage = measured(command, Path.cwd(), environment={"OMP_NUM_THREADS": str(len(os.sched_getaffinity(0)))})
    return {**json.loads(out.read_text(encoding="utf-8")), "peak_mb": usage.launcher_mb}


def _scored(rows: Rows, way: str, clips: Sequence[Utterance], joined: Mapping[str, Path]) -> dict[str, Any]:
    """Word error rates of the first repeat; seconds and memory of all."""
    of_way = {kind: [rows.found[f"{way}, {kind}, {n + 1}"] for n in range(REPEATS)] for kind in ("short", "long")}
    heard, heard_long = of_way["short"][0]["texts"], of_way["long"][0]["texts"]
    errors = [_errors(clip.text, heard[clip.audio]) for clip in clips]
    of_long = []
    for language, path in joined.items():
        reference = " ".join(clip.text for clip in clips if clip.language == language)
        of_long.append(_errors(reference, heard_long[str(path)]))
    return {
        "wer": _rate(errors),
        "wer_interval": _interval(errors),
        "wer_long": _rate(of_long),
        "wall_s": [run["wall_s"] for run in of_way["short"]],
        "wall_long_s": [run["wall_s"] for run in of_way["long"]],
        "peak_mb": max(run["peak_mb"] for kind in ("short", "long") for run in of_way[kind]),
    }


def _errors(reference: str, hypothesis: str) -> tuple[int, int]:
    """Wrong words, and words."""
    aligned = jiwer.process_words(reference, hypothesis)
    return aligned.substitutions + aligned.deletions + aligned.insertions, len(reference.split())


def _rate(errors: Sequence[tuple[int, int]]) -> float:
    return sum(wrong for wrong, _ in errors) / sum(words for _, words in errors)


def _interval(errors: Sequence[tuple[int, int]]) -> tuple[float, float]:
    """95 %, over clips drawn with replacement."""
    counts = np.array(errors)
    drawn = np.random.default_rng(1).integers(0, len(counts), (BOOTSTRAP_SAMPLES, len(counts)))
    sums = counts[drawn].sum(axis=1)
    low, high = np.quantile(sums[:, 0] / sums[:, 1], [0.025, 0.975])
    return float(low), float(high)


def _table(scores: Mapping[str, Any], audio_s: float, n_clips: int) -> str:
    header = [f"{n_clips} clips, {audio_s:.0f} s", "times real time", "of each repeat", "to ours"]
    header += ["WER", "95 % interval", "WER joined", "joined, times real time", "peak memory, MB"]
    reference = mean(scores["ours"]["wall_s"]) if "ours" in scores else None
    long_s = audio_s + n_clips * mean(PAUSE_S)
    lines = []
    for name, score in scores.items():
        wall_s, (low, high) = mean(score["wall_s"]), score["wer_interval"]
        lines.append(
            [
                WAYS[name],
                f"{audio_s / wall_s:.2f}",
                ", ".join(f"{audio_s / each:.2f}" for each in score["wall_s"]),
                f"{reference / wall_s:.2f}" if reference else "",
                f"{score['wer']:.1%}",
                f"{low:.1%} to {high:.1%}",
                f"{score['wer_long']:.1%}",
                f"{long_s / mean(score['wall_long_s']):.2f}",
                f"{score['peak_mb']:,.0f}",
            ]
        )
    return table(header, lines)


def _targets(scores: Mapping[str, Any]) -> list[Target]:
    def ratio(way: str) -> float | None:
        if way not in scores or "faster-whisper" not in scores:
            return None
        return mean(scores["faster-whisper"]["wall_s"]) / mean(scores[way]["wall_s"])

    targets = [
        Target(
            f"{WAYS[way]} to {WAYS['faster-whisper']}, short clips, times as fast",
            ratio(way),
            at_least=TO_FASTER_WHISPER,
        )
        for way in ("ours", "ours-ctranslate2")
    ]
    if "ours" in scores:
        _, high = scores["ours"]["wer_interval"]
        claim = "WER of joined clips, within the interval of short ones, percent"
        targets.append(Target(claim, 100 * scores["ours"]["wer_long"], at_most=100 * high))
    return targets


if __name__ == "__main__":
    main()
