"""Training in two processes, for real: the mathematics of one, one run, one checkpoint, and one resumption."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
import yaml
from mlflow import MlflowClient
from torch.optim.optimizer import register_optimizer_step_pre_hook

from asr.experiments.run import EXPERIMENT
from asr.models.checkpoints import load_model
from asr.params import Model, Params, Train
from asr.train.attempt import Attempt
from asr.train.training import train
from tests.builders import unequal_clips, write_features, write_selection
from tests.running import Running

ROOT = Path(__file__).parents[2]
STAGE = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]["train"]["cmd"].split()[3:]
# What a developer's shell may choose; without compiled modules, each process compiles transformers anew, for 5 s.
NOT_INHERITED = ("MLFLOW_", "PYTHONDONTWRITEBYTECODE", "OMP_NUM_THREADS")
N_STEPS = 12
CHOICES = Params(
    model=Model(window_s=1),
    train=Train(
        max_steps=N_STEPS, batch_size=8, gradient_accumulation_steps=2, learning_rate=1e-3, warmup_steps=0,
        precision="float32", eval_steps=6, eval_wer=0,
    ),
)  # fmt: skip
# The stage in two processes, of which the first keeps the gradients of its first step.
RECORDED = """
import os, runpy, sys
from asr.train import launch
if "RANK" not in os.environ:
    sys.exit(launch.launch("recorded", sys.argv[1:], 2))
import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook
def keep(optimizer, args, kwargs):
    handle.remove()
    gradients = [weight.grad for group in optimizer.param_groups for weight in group["params"]]
    torch.save(gradients, f"gradients-{os.environ['RANK']}.pt")
handle = register_optimizer_step_pre_hook(keep)
runpy.run_module("stages.train", run_name="__main__", alter_sys=True)
"""


def curves_of(points: list[dict[str, float]], name: str) -> dict[int, float]:
    return {int(point["step"]): point[name] for point in points if name in point}


@dataclass(frozen=True)
class Project:
    """A folder as the stages before train leave it."""

    folder: Path

    @classmethod
    def make(cls, folder: Path, base: Path, features: Path) -> "Project":
        (folder / "data").mkdir(parents=True)
        (folder / "data/base").symlink_to(base)
        (folder / "data/features").symlink_to(features)
        write_selection(folder / "data/selection", features)
        (folder / "params.yaml").write_text(yaml.safe_dump(CHOICES.model_dump()))
        (folder / "recorded.py").write_text(RECORDED)
        return cls(folder)

    def start(self, module: str = "stages.train") -> Running:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(NOT_INHERITED)}
        environment = {"TRAIN_PROCESSES": "2", "MLFLOW_TRACKING_URI": self.store, "RUN": str(self.folder)}
        process = subprocess.Popen(
            [sys.executable, "-m", module, *STAGE],
            cwd=self.folder,
            env=kept | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        return Running(process, f"RUN={self.folder}")

    @property
    def store(self) -> str:
        return f"sqlite:///{self.folder / 'mlflow.db'}"

    @property
    def outcome(self) -> dict:
        return json.loads((self.folder / "data/run.json").read_text())

    def weights(self) -> dict[str, torch.Tensor]:
        return load_model(self.folder / "data/model").state_dict()

    def the_run(self):
        """The one that MLflow has."""
        client = MlflowClient(self.store)
        (run,) = client.search_runs([client.get_experiment_by_name(EXPERIMENT).experiment_id])
        return run


@pytest.fixture(scope="module")
def features(tmp_path_factory) -> Path:
    """21 train clips of unequal length and label count in one shard: batches of 8, 8 and 5 for four parts each."""
    folder = tmp_path_factory.mktemp("features")
    rows = unequal_clips(21)
    write_features(folder, {"train": rows, "validation": rows[:5]})
    return folder


@pytest.fixture(scope="module")
def alone(scratch, features, tmp_path_factory):
    """The same training in one process without accumulation: its points, first gradients and weights."""
    folder = tmp_path_factory.mktemp("alone")
    points: list[dict[str, float]] = []
    gradients: list[torch.Tensor] = []

    def keep(optimizer, args, kwargs):
        handle.remove()
        gradients.extend(weight.grad.clone() for group in optimizer.param_groups for weight in group["params"])

    def log(metrics, step):
        points.append({"step": step, **metrics})

    choices = CHOICES.model_copy(update={"train": CHOICES.train.model_copy(update={"gradient_accumulation_steps": 1})})
    handle = register_optimizer_step_pre_hook(keep)
    train(scratch, features, folder / "model", choices, log, Attempt(folder / "attempt"))
    return points, gradients, load_model(folder / "model").state_dict()


@dataclass(frozen=True)
class Together:
    """A training that was ended in its midst, what there was of it then, and that has gone on to its end."""

    project: Project
    status: int
    said: str
    left_behind: list[str]
    run_status: str
    had_model: bool


@pytest.fixture(scope="module")
def together(scratch, features, tmp_path_factory) -> Together:
    project = Project.make(tmp_path_factory.mktemp("together") / "project", scratch, features)
    running = project.start("recorded")
    for line in running.process.stderr:
        if line.startswith("step 3/"):
            break
    running.process.terminate()
    ended = running.end()
    at_end = running.left_behind(), project.the_run().info.status, (project.folder / "data/model").exists()
    status, said = project.start().end()
    assert status == 0, said
    return Together(project, *ended, *at_end)


def test_ended_by_sigterm_they_save_and_leave(together):
    assert together.status == 143, together.said
    assert "Traceback" not in together.said
    assert together.left_behind == []
    assert together.run_status == "KILLED"
    assert not together.had_model


@pytest.mark.parametrize("name", ["train_loss", "gradient_norm", "validation_loss"])
def test_two_processes_have_the_curves_of_one(alone, together, name):
    """Across the interruption too."""
    expected, curve = curves_of(alone[0], name), curves_of(together.project.outcome["curve"], name)
    assert len(expected) == (2 if name == "validation_loss" else N_STEPS)
    assert curve == pytest.approx(expected, rel=1e-5)


def test_two_processes_have_the_gradients_of_one(alone, together):
    expected = torch.cat([gradient.flatten() for gradient in alone[1]])
    found = [torch.load(together.project.folder / f"gradients-{rank}.pt") for rank in (0, 1)]
    assert all(map(torch.equal, *found))
    difference = torch.cat([gradient.flatten() for gradient in found[0]]) - expected
    assert difference.norm() < 1e-5 * expected.norm()


def test_two_processes_end_with_the_weights_of_one(alone, together):
    weights = together.project.weights()
    assert weights.keys() == alone[2].keys()
    for name, expected in alone[2].items():
        torch.testing.assert_close(weights[name], expected, rtol=0, atol=2e-5)


def test_they_make_one_run_and_one_checkpoint(together):
    project = together.project
    run = project.the_run()
    assert run.info.status == "FINISHED"
    assert project.outcome["training"]["processes"] == 2
    assert project.outcome["run"]["run_id"] == run.info.run_id
    assert (project.folder / "data/model/model.safetensors").exists()


@pytest.mark.slow
def test_they_end_with_the_bits_of_a_training_that_was_not_interrupted(scratch, features, together, tmp_path):
    project = Project.make(tmp_path / "project", scratch, features)
    status, said = project.start().end()
    assert status == 0, said
    weights, expected = project.weights(), together.project.weights()
    assert all(torch.equal(weights[name], expected[name]) for name in expected)
