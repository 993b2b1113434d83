"""Clips -> how long a step of training takes, and how much memory: the notebook's way, and ours by window and dtype."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from statistics import mean

from asr.utterances import Utterance
from lib.rows import Rows
from lib.trainings import Training, Way, prepared, train_as_notebook, train_as_ours

DTYPES = ("float32", "bf16")
TIMED_STEPS = {30: 2, 15: 4, 10: 8, 0: 11}  # by window, so that rows take less unequally long; 12 steps are an epoch


@dataclass(frozen=True)
class Plan:
    """What each row trains; its first step is not timed."""

    checkpoint: str  # as in params.yaml
    repeat: int = 1  # times `TIMED_STEPS`
    batch_size: int = 8
    accumulation: int = 1  # of ours, as in params.yaml; the notebook takes a step's batch in one forward
    n_clips: int = 96
    max_s: float = 10.0  # of a clip, so that at 10 s all are of one window


@dataclass(frozen=True)
class Row:
    """One way to train, in a process of its own."""

    s_a_step: float
    clips_per_s: float
    peak_mb: float
    wall_s: float  # of the process, with its start


def ours(window_s: int, dtype: str) -> str:
    return f"ours, {f'{window_s} s' if window_s else 'own length'}, {dtype}"


def as_it_stands(dtype: str) -> str:
    """Its own arguments, but for the fp16 that a processor does not have: float32 is what that falls back to."""
    return f"notebook as it stands, {dtype}"


def without_checkpointing(dtype: str) -> str:
    return f"notebook without its checkpointing, {dtype}"


def measure(folder: Path, clips: Sequence[Utterance], plan: Plan) -> dict[str, Row]:
    """The rows by name; `folder` is where a killed run goes on."""
    job = prepared(folder / "job", choose(clips, plan), plan.checkpoint)
    rows = Rows(folder, asdict(plan))
    for name, way, training in _trainings(plan):
        rows.get(name, _row, way, job, folder / "training", training, plan.n_clips)
    return {name: Row(**row) for name, row in rows.found.items()}


def choose(clips: Sequence[Utterance], plan: Plan) -> list[Utterance]:
    """`n_clips` of those that are short enough, spread evenly, to train on. Raises `ValueError` if they are too few."""
    short = [clip for clip in clips if (clip.duration_s or 0) <= plan.max_s]
    if len(short) < plan.n_clips:
        raise ValueError(f"{len(short)} clips are at most {plan.max_s} s long; {plan.n_clips} are needed")
    return [replace(clip, split="train") for clip in short[:: len(short) // plan.n_clips][: plan.n_clips]]


def _trainings(plan: Plan) -> Iterator[tuple[str, Way, Training]]:
    def training(window_s: int, dtype: str) -> Training:
        return Training(1 + plan.repeat * TIMED_STEPS[window_s], plan.batch_size, 1, dtype, window_s)

    for dtype in DTYPES:
        yield as_it_stands(dtype), train_as_notebook, replace(training(30, dtype), gradient_checkpointing=True)
        yield without_checkpointing(dtype), train_as_notebook, training(30, dtype)
    for window_s, dtype in product(TIMED_STEPS, DTYPES):
        yield ours(window_s, dtype), train_as_ours, replace(training(window_s, dtype), accumulation=plan.accumulation)


def _row(way: Way, job: Path, out: Path, training: Training, n_clips: int) -> dict[str, float]:
    trained = way(job, out, training)
    s_a_step = mean(trained.steps_s)
    clips_a_step = n_clips * trained.n_epochs / training.max_steps  # windows of own length leave batches unfilled
    usage = trained.usage
    peak_mb = max(usage.launcher_mb, usage.worker_mb)
    return asdict(Row(s_a_step, clips_a_step / s_a_step, peak_mb, usage.wall_s))
