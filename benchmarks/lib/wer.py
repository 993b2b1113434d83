"""Real clips -> whether short windows cost accuracy: what is heard after the notebook's training, and after ours.

The same checkpoint, clips, number of samples, learning rate, schedule, batch, precision and seeds. Both are compared in
a paired bootstrap over clips, each of which carries the errors of all seeds.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from asr import params
from asr.corpora.splits import Cutter, normalised
from asr.evaluate.predictions import Prediction
from asr.evaluate.scoring import Scores, metrics
from asr.models.whisper import MAX_WINDOW_S
from asr.shards import read_columns
from asr.utterances import SPLITS, Utterance
from lib.rows import Rows
from lib.trainings import Training, Way, decoded, prepared, train_as_notebook, train_as_ours

BOOTSTRAP_SAMPLES = 10_000
TOLD = ("wer", "wer_interval", "difference_interval", "n_words")
MAX_TRAIN_S = 10.0  # longer clips are for the test alone: there are few, and a batch of another window would be partial
Heard = Mapping[str, str]  # hypotheses, by the clip's id


@dataclass(frozen=True)
class Plan:
    """The comparison, but for its clips."""

    languages: tuple[params.TuxpaintLanguage, ...] = ("bg", "ca", "el", "es", "fr", "ro", "ru")
    min_words: int = 6  # of a test clip: few clips with many words cost least
    min_train_words: int = 4
    test_share: float = 0.7  # of the clips of `min_words`
    n_train: int = 320
    seeds: tuple[int, ...] = (1, 2, 3, 4)
    max_steps: int = 40
    batch_size: int = 8
    learning_rate: float = 1e-5  # the notebook's
    warmup_steps: int = 5  # an eighth of the steps, as 500 of 4,000
    window_s: int = 10
    precision: str = "bf16"
    checkpoint: str = "openai/whisper-base"

    def training(self, seed: int) -> Training:
        return Training(
            self.max_steps,
            self.batch_size,
            seed,
            self.precision,
            self.window_s,
            learning_rate=self.learning_rate,
            warmup_steps=self.warmup_steps,
        )


def choose(clips: Sequence[Utterance], plan: Plan) -> list[Utterance]:
    """Test clips of many words, and at most `n_train` others that share no text with them, all drawn by a hash."""
    spoken = [replace(clip, split=None) for clip in clips if clip.language in plan.languages]
    of_many_words = [clip for clip in spoken if _n_words(clip) >= plan.min_words]
    shares = params.Split(validation=0, test=plan.test_share)
    cutter = Cutter(seed=1)
    cutter.add(of_many_words)
    splits = [SPLITS[split] for split in cutter.cut(shares).splits.tolist()]
    test = [replace(clip, split="test") for clip, split in zip(of_many_words, splits, strict=True) if split == "test"]
    tested = {(clip.language, normalised(clip.text)) for clip in test}
    rest = [
        replace(clip, split="train")
        for clip in spoken
        if _n_words(clip) >= plan.min_train_words
        and (clip.duration_s or 0) <= MAX_TRAIN_S
        and (clip.language, normalised(clip.text)) not in tested
    ]
    rest.sort(key=lambda clip: hashlib.sha256(clip.id.encode()).digest())
    return test + rest[: plan.n_train]


def _n_words(clip: Utterance) -> int:
    return len(clip.text.split())


def measure(folder: Path, clips: Sequence[Utterance], plan: Plan) -> dict[str, Any]:
    """Trains and decodes in `folder`, where a killed run goes on; the costs, and the word error rates of all seeds."""
    job = prepared(folder / "job", choose(clips, plan), plan.checkpoint)
    rows = Rows(folder, asdict(plan))
    for seed in plan.seeds:
        notebook, ours = folder / f"notebook-{seed}", folder / f"ours-{seed}"
        training = plan.training(seed)
        rows.get(f"notebook {seed}", _train, train_as_notebook, job, notebook, training)
        _hear(rows, f"notebook {seed}", job, notebook / "model", MAX_WINDOW_S, plan)
        rows.get(f"ours {seed}", _train, train_as_ours, job, ours, training)
        _hear(rows, f"ours {seed}", job, ours / "model", plan.window_s, plan)
    return {"plan": asdict(plan), **_scores(job, rows, plan)}


def _train(way: Way, job: Path, out: Path, training: Training) -> dict[str, Any]:
    return asdict(way(job, out, training))


def _hear(rows: Rows, name: str, job: Path, model: Path, window_s: int, plan: Plan) -> None:
    rows.get(_heard(name, window_s), _decode, job, model, window_s, plan.precision)


def _decode(job: Path, model: Path, window_s: int, precision: str) -> dict[str, Any]:
    usage, hypotheses = decoded(job, model, window_s, precision, job.parent / "heard.json")
    return {**asdict(usage), "hypotheses": hypotheses}


def _heard(name: str, window_s: int) -> str:
    return f"{name} at {window_s} s"


def _scores(job: Path, rows: Rows, plan: Plan) -> dict[str, Any]:
    """`pooled` over the seeds, and of each; in each, `baseline` is the notebook's way."""
    test = read_columns(job / "features", "test", ["id", "language", "text"]).to_pylist()

    def heard(name: str, window_s: int) -> Heard:
        return rows.found[_heard(name, window_s)]["hypotheses"]

    of_seeds = {
        seed: predictions(test, heard(f"ours {seed}", plan.window_s), heard(f"notebook {seed}", MAX_WINDOW_S))
        for seed in plan.seeds
    }
    return {
        "n_clips": len(test),
        "n_words": sum(len(row["text"].split()) for row in test),
        "seeds": {str(seed): _score(of_seed) for seed, of_seed in of_seeds.items()},
        "pooled": _score([row for of_seed in of_seeds.values() for row in of_seed]),
    }


def predictions(test: Sequence[Mapping[str, str]], ours: Heard, notebook: Heard) -> list[Prediction]:
    """The clip stands in the speaker's place, so that the bootstrap draws it with what all seeds heard in it."""
    return [
        Prediction(name, row["language"], name, row["text"], ours[name], ours[name], notebook[name])
        for row in test
        for name in (row["id"],)
    ]


def _score(rows: Sequence[Prediction]) -> Scores:
    scores = metrics(rows, BOOTSTRAP_SAMPLES, seed=1)
    of_languages = {name: _told(group) for name, group in scores["language"].items()}
    return {**_told(scores), "language": of_languages}


def _told(scores: Scores) -> Scores:
    return {name: scores[name] for name in TOLD} | {"baseline": {"wer": scores["baseline"]["wer"]}}
