"""The stage train, killed or told to stop in its second epoch, goes on to the bits of one that nobody disturbs."""

import json
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from asr.params import Lora, Model, Params, SpecAugment, Train
from asr.train.attempt import Attempt
from asr.train.training import train
from tests.builders import unequal_clips, write_features, write_selection
from tests.running import WAIT_S, Running

STAGE = yaml.safe_load((Path(__file__).parents[2] / "dvc.yaml").read_text())["stages"]["train"]["cmd"].split()[3:]
STEPS_OF_EPOCH, N_STEPS = 6, 18  # 24 clips in batches of 4, three epochs
PLAIN = {"max_steps": N_STEPS, "batch_size": 4, "gradient_accumulation_steps": 2, "eval_steps": 4, "eval_wer": 2}
# Each of these draws at random, or remembers what was.
MORE = {
    "lora": Lora(rank=4, dropout=0.1),
    "random_window": True,
    "spec_augment": SpecAugment(mel_masks=1, time_masks=1),
    "select": "loss",
    "average": 2,
}
NOWHERE = "http://127.0.0.1:9"  # no server: MLflow isn't imported, which takes seconds
TIMES = ("clips_per_second", "waiting_share")
FILE_BYTES = 1_000_000  # less than the weights of a checkpoint
EACH_STEP = {"CHECKPOINT_EVERY_S": "0"}


def choices(**more: Any) -> Params:
    settings = {"learning_rate": 1e-3, "warmup_steps": 0, "precision": "float32", **PLAIN, **more}
    return Params(model=Model(window_s=2), train=Train(**settings))


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("features")
    rows = unequal_clips(24)
    write_features(folder, {"train": rows, "validation": rows[:5]}, rows_per_shard=10)
    return folder


Expected = tuple[bytes, list[dict[str, float]]]


def undisturbed(base: Path, features: Path, folder: Path, params: Params) -> Expected:
    """What a training in this process makes, which saves nothing on its way: weights and curve."""
    points: list[dict[str, float]] = []

    def log(metrics: dict[str, float], step: int) -> None:
        points.append({"step": step, **metrics})

    train(base, features, folder / "model", params, log, Attempt(folder / "attempt"))
    return (folder / "model/model.safetensors").read_bytes(), without_times(points)


def without_times(points: list[dict[str, float]]) -> list[dict[str, float]]:
    return [{key: value for key, value in point.items() if key not in TIMES} for point in points]


@dataclass(frozen=True)
class Project:
    """A folder as the stages before train leave it."""

    folder: Path

    @classmethod
    def make(cls, folder: Path, base: Path, features: Path, params: Params) -> "Project":
        (folder / "data").mkdir(parents=True)
        (folder / "data/base").symlink_to(base)
        (folder / "data/features").symlink_to(features)
        write_selection(folder / "data/selection", features)
        project = cls(folder)
        project.choose(params)
        return project

    def choose(self, params: Params) -> None:
        (self.folder / "params.yaml").write_text(yaml.safe_dump(params.model_dump()))

    def start(self, before: Callable[[], None] | None = None, **environment: str) -> Running:
        """The stage as a process, in which `before` is called first."""
        process = subprocess.Popen(
            [sys.executable, "-m", "stages.train", *STAGE],
            cwd=self.folder,
            env=os.environ | {"MLFLOW_TRACKING_URI": NOWHERE} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=before,
        )
        return Running(process, f"PWD={self.folder}")

    def run(self, **environment: str) -> str:
        """Runs it to its end; what it said on stderr."""
        status, said = self.start(**environment).end()
        assert status == 0, said
        return said

    def attempts(self) -> list[Attempt]:
        return [Attempt(path) for path in (self.folder / "data/training").glob("*")]

    def step(self) -> int:
        """After which its only attempt would go on."""
        return max((attempt.step for attempt in self.attempts()), default=0)

    def ends(self, journal: str) -> list[str]:
        """How the processes of a run ended and went on, by its journal."""
        lines = (self.folder / f"data/journal/{journal}.jsonl").read_text().splitlines()
        records = list(map(json.loads, lines))
        return [record.get("status", record["do"]) for record in records if record["do"] in ("start", "end", "resume")]

    def outcome(self) -> Expected:
        points = json.loads((self.folder / "data/run.json").read_text())["curve"]
        return (self.folder / "data/model/model.safetensors").read_bytes(), without_times(points)


def end_in_second_epoch(project: Project, running: Running, number: signal.Signals) -> tuple[int, str]:
    """Sends a signal after step 8, which is a look at the validation split too; exit status, and what was said."""
    until = time.monotonic() + WAIT_S
    while project.step() < STEPS_OF_EPOCH + 2:
        assert running.process.poll() is None, running.process.communicate()
        assert time.monotonic() < until, "no checkpoint in time"
        time.sleep(0.01)
    running.process.send_signal(number)
    ended = running.end()
    assert STEPS_OF_EPOCH + 2 <= project.step() < 2 * STEPS_OF_EPOCH
    assert not (project.folder / "data/model").exists() and not (project.folder / "data/run.json").exists()
    return ended


def test_killed_it_goes_on_bit_for_bit_and_another_training_meanwhile_neither_uses_nor_harms_it(
    scratch: Path, features: Path, tmp_path: Path
) -> None:
    """The other one has another seed, and a full disk, of which it tells as it saves its first step."""
    project = Project.make(tmp_path / "project", scratch, features, choices())
    status, _ = end_in_second_epoch(project, project.start(**EACH_STEP), signal.SIGKILL)
    assert status == -signal.SIGKILL
    (killed,) = project.attempts()
    assert killed.run

    project.choose(choices(seed=2))
    limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (FILE_BYTES, FILE_BYTES))
    status, said = project.start(limit, **EACH_STEP).end()
    assert status == 1
    (line,) = [line for line in said.splitlines() if line.startswith("error: ")]
    assert "checkpoint-1: cannot be saved (" in line and "File too large" in line
    assert line.endswith("`dvc repro` goes on from its start")
    assert "Traceback" not in said
    (other,) = [attempt for attempt in project.attempts() if attempt != killed]
    assert other.run and other.cut_off() == []
    assert project.ends(other.run["journal"]) == ["start", "FAILED"]

    project.choose(choices())
    run = killed.run["journal"]
    project.run()
    assert project.ends(run) == ["start", "resume", "FINISHED"]
    assert project.attempts() == [other]
    assert project.outcome() == undisturbed(scratch, features, tmp_path, choices())


def test_told_to_stop_it_saves_and_goes_on_bit_for_bit_as_one_run(
    scratch: Path, features: Path, tmp_path: Path
) -> None:
    """With all that draws at random or remembers what was."""
    params = choices(**MORE)
    project = Project.make(tmp_path / "project", scratch, features, params)
    store = {"MLFLOW_TRACKING_URI": f"sqlite:///{project.folder / 'mlflow.db'}"}

    def runs() -> list[tuple[str]]:
        with sqlite3.connect(project.folder / "mlflow.db") as database:
            return database.execute("select status from runs").fetchall()

    status, said = end_in_second_epoch(project, project.start(**store, **EACH_STEP), signal.SIGTERM)
    assert status == 128 + signal.SIGTERM and "Traceback" not in said
    assert said.count("SIGTERM: the training stops when this step is done and saved") == 1
    assert runs() == [("KILLED",)]

    said = project.run(**store)
    assert project.attempts() == []
    assert "[transformers]" not in said
    assert runs() == [("FINISHED",)]
    assert project.outcome() == undisturbed(scratch, features, tmp_path, params)
