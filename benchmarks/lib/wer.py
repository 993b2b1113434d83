"""Real clips of several languages -> whether 10 s windows cost accuracy: the notebook's training against ours.

The same base checkpoint, clips, number of samples, rate, schedule, batch and seeds; what was heard in the same test
clips is compared in a paired bootstrap over clips, each of which carries the errors of all seeds.
"""

import hashlib
import json
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from lib.corpora import PREPROCESS, job_folder, tuxpaint_clips
from lib.processes import measured
from lib.rows import Rows

from asr import manifest, params
from asr.base import fetch
from asr.shards import read_columns
from asr.splits import cut, normalised
from asr.utterances import Utterance

WAYS = Path(__file__).parent.parent.resolve() / "ways"
MAX_TRAIN_S = 10.0  # longer clips are for the test alone: there are few, and a batch of another window would be partial
NOTEBOOK, OURS = "notebook", "ours"


@dataclass(frozen=True)
class Plan:
    """The comparison of word error rates, but for its clips."""

    languages: tuple[str, ...] = ("bg", "ca", "el", "es", "fr", "ro", "ru")
    min_words: int = 6  # of a test clip: few clips with many words cost least
    min_train_words: int = 4
    test_share: float = 0.7  # of the clips of `min_words`
    n_train: int = 320
    seeds: tuple[int, ...] = (1, 2, 3)
    max_steps: int = 40
    batch_size: int = 8
    learning_rate: float = 1e-5  # the notebook's
    warmup_steps: int = 5  # an eighth of the steps, as 500 of 4,000
    window_s: int = 10
    precision: str = "bf16"
    checkpoint: str = "openai/whisper-base"


def choose(clips: Sequence[Utterance], plan: Plan) -> list[Utterance]:
    """Test clips of many words, and exactly `n_train` others that share no text with them, all drawn by a hash."""
    of_many_words = [clip for clip in clips if _n_words(clip) >= plan.min_words]
    shares = params.Split(validation=0, test=plan.test_share)
    test = [clip for clip in cut(of_many_words, shares, seed=1) if clip.split == "test"]
    tested = {(clip.language, normalised(clip.text)) for clip in test}
    rest = [
        clip
        for clip in clips
        if _n_words(clip) >= plan.min_train_words
        and (clip.duration_s or 0) <= MAX_TRAIN_S
        and (clip.language, normalised(clip.text)) not in tested
    ]
    rest.sort(key=lambda clip: hashlib.sha256(clip.id.encode()).digest())
    return test + [_as_train(clip) for clip in rest[: plan.n_train]]


def _as_train(clip: Utterance) -> Utterance:
    return replace(clip, split="train")


def _n_words(clip: Utterance) -> int:
    return len(clip.text.split())


def measure(folder: Path, plan: Plan) -> dict[str, Any]:
    """All rows: what each training cost, and what each checkpoint heard."""
    folder = folder.resolve()
    job = _prepared(folder, plan)
    rows = Rows(folder, asdict(plan))
    for seed in plan.seeds:
        rows.get(f"{NOTEBOOK} {seed}", lambda seed=seed: _train_notebook(folder, job, plan, seed))
        rows.get(
            f"{NOTEBOOK} {seed} at 30 s", lambda seed=seed: _decode(folder, f"{NOTEBOOK}-{seed}/model", job, 30, plan)
        )
        rows.get(f"{OURS} {seed}", lambda seed=seed: _train_ours(folder, job, plan, seed))
        rows.get(
            f"{OURS} {seed} at {plan.window_s} s",
            lambda seed=seed: _decode(folder, f"{OURS}-{seed}/model", job, plan.window_s, plan),
        )
    for window_s in (plan.window_s, 30):
        rows.get(f"base at {window_s} s", lambda window_s=window_s: _decode(folder, "job/base", job, window_s, plan))
    for seed in plan.seeds:
        rows.get(f"{OURS} {seed} at 30 s", lambda seed=seed: _decode(folder, f"{OURS}-{seed}/model", job, 30, plan))
    return rows.found


def _prepared(folder: Path, plan: Plan) -> Path:
    """A folder with manifest, base and features of the clips."""
    job = folder / "job"
    if not (job / "features/index.json").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        fetch(params.Model(checkpoint=plan.checkpoint), folder / "base")
        job_folder(job, choose(tuxpaint_clips(folder / "clips", plan.languages), plan), folder / "base")
        measured([sys.executable, *PREPROCESS], job)
    ids = set(read_columns(job / "features", "train", ["id"])["id"].to_pylist())
    assert len(ids) == plan.n_train, f"{len(ids)} of {plan.n_train} train clips are in the features"
    manifest.write([row for row in manifest.read(job / "manifest") if row.id in ids], folder / "trained")
    return job


def _train_notebook(folder: Path, job: Path, plan: Plan, seed: int) -> dict[str, Any]:
    out = _empty(folder / f"{NOTEBOOK}-{seed}")
    settings = {
        "max_steps": plan.max_steps,
        "batch_size": plan.batch_size,
        "learning_rate": plan.learning_rate,
        "warmup_steps": plan.warmup_steps,
        "seed": seed,
        "precision": plan.precision,
        "gradient_checkpointing": False,  # the same gradients, sooner
    }
    (out / "settings.json").write_text(json.dumps(settings))
    _say(out.name)
    usage = measured([sys.executable, WAYS / "notebook_training.py", folder / "trained", job / "base", "settings.json", "."], out)
    shutil.rmtree(out / "cache")
    log = json.loads((out / "steps.json").read_text())["log"]
    return {**asdict(usage), "loss": [entry["loss"] for entry in log if "loss" in entry]}


def _train_ours(folder: Path, job: Path, plan: Plan, seed: int) -> dict[str, Any]:
    out = _empty(folder / f"{OURS}-{seed}")
    train = {
        "max_steps": plan.max_steps,
        "batch_size": plan.batch_size,
        "gradient_accumulation_steps": 1,
        "learning_rate": plan.learning_rate,
        "warmup_steps": plan.warmup_steps,
        "precision": plan.precision,
        "seed": seed,
    }
    (out / "params.yaml").write_text(json.dumps({"model": {"window_s": plan.window_s}, "train": train}))
    _say(out.name)
    usage = measured([sys.executable, "-m", "stages.train", job / "base", job / "features", "model", "run.json"], out)
    run = json.loads((out / "run.json").read_text())
    return {**asdict(usage), "loss": [point["train_loss"] for point in run["curve"] if "train_loss" in point]}


def _decode(folder: Path, model: str, job: Path, window_s: int, plan: Plan) -> dict[str, Any]:
    _say(f"{model} at {window_s} s")
    out = folder / "heard.json"
    command = [sys.executable, WAYS / "decode.py", folder / model, job / "features", str(window_s), plan.precision, out]
    usage = measured(command, folder)
    return {**asdict(usage), "hypotheses": json.loads(out.read_text(encoding="utf-8"))}


def _empty(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def _say(what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {what}", file=sys.stderr, flush=True)
