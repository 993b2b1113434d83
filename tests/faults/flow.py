"""The whole flow on a corpus of seconds: undisturbed once, and copies of it in which something goes wrong."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from asr.recipes import merged
from tests.running import Running

ROOT = Path(__file__).parents[2]
N_UTTERANCES, N_STEPS = 24, 6
# Every stage has something to do, and none takes more than a few seconds beyond its imports.
SMALL: dict[str, Any] = {
    "data": {
        "source": "synthetic",
        "synthetic": {"languages": ["en", "es"], "utterances": N_UTTERANCES},
        "agreement": {"heard_by": "base", "max_wer": 100.0},
    },
    "features": {"shard_mb": 0.5},
    "model": {"checkpoint": "scratch", "window_s": 5},
    "train": {"max_steps": N_STEPS, "batch_size": 4, "eval_steps": 3, "eval_wer": 1, "learning_rate": 0.001},
    "evaluate": {
        "bootstrap_samples": 100,
        "sets": {"radio": {"source": "synthetic", "synthetic": {"languages": ["en"], "utterances": 6}}},
    },
    "export": {"formats": ["hub"]},
}
STAGES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
# Without compiled modules, each stage compiles transformers anew.
NOT_INHERITED = ("MLFLOW_", "BEAM_", "DVC_", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
NOWHERE = "http://127.0.0.1:9"  # no server: MLflow is not imported, which takes seconds
LONGEST_S = 600.0
TOOK = ".took.json"
# What a run has of its own: when it was, and how fast.
OWN = ("run", "decoding", "seconds", "clips_per_second", "waiting_share", "times_real_time", "tracking")


@dataclass(frozen=True)
class Done:
    """How a process ended: what it said on both streams, and how long it took."""

    status: int
    said: str
    wall_s: float

    @property
    def errors(self) -> list[str]:
        """The lines that a user is meant to read."""
        return [line for line in self.said.splitlines() if line.startswith(("error: ", "ERROR: "))]

    @property
    def line(self) -> str:
        """The first of them."""
        assert self.errors, self.said
        return self.errors[0]


@dataclass(frozen=True)
class Flow:
    """A copy of the project, with or without what its stages make."""

    folder: Path

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def copied(self, folder: Path) -> "Flow":
        """The same in another folder, as DVC knows it: files keep their times."""
        subprocess.run(["cp", "--archive", self.folder, folder], check=True)  # which knows hard links
        remove(folder / ".dvc/tmp")  # knows files by inode
        return Flow(folder)

    def choose(self, choices: dict[str, Any]) -> None:
        """Edits params.yaml."""
        path = self.folder / "params.yaml"
        path.write_text(merged(path.read_text(encoding="utf-8"), choices), encoding="utf-8")

    def forget(self, *stages: str) -> None:
        """As if these stages had never run: neither their outputs nor DVC's memory of them are left."""
        lock = yaml.safe_load((self.folder / "dvc.lock").read_text(encoding="utf-8"))
        for stage in stages:
            lock["stages"].pop(stage, None)
            self.remove_outs(stage)
        (self.folder / "dvc.lock").write_text(yaml.safe_dump(lock, sort_keys=False), encoding="utf-8")
        remove(self.folder / ".dvc/cache/runs")

    def remove_outs(self, stage: str) -> None:
        """As DVC does before a stage runs."""
        for out in STAGES[stage]["outs"]:
            remove(self.folder / out)

    def start(self, *words: str, before: Callable[[], None] | None = None, **environment: str) -> Running:
        """`python -m words` in this folder, in a session of its own, in which `before` is called first."""
        mark = f"FAULT={uuid.uuid4()}"
        own = {name: value for name, value in os.environ.items() if not name.startswith(NOT_INHERITED)}
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        process = subprocess.Popen(
            [sys.executable, "-m", *words],
            cwd=self.folder,
            env={**own, "PATH": path, "MLFLOW_TRACKING_URI": NOWHERE, **environment, **dict([mark.split("=")])},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            preexec_fn=partial(_as_in_a_terminal, before),
        )
        return Running(process, mark)

    def start_stage(self, stage: str, before: Callable[[], None] | None = None, **environment: str) -> Running:
        """A stage by its command in dvc.yaml, without DVC."""
        self.remove_outs(stage)
        return self.start(*STAGES[stage]["cmd"].split()[2:], before=before, **environment)

    def run(self, *words: str, before: Callable[[], None] | None = None, **environment: str) -> Done:
        started_s = time.monotonic()
        return ended(self.start(*words, before=before, **environment), started_s)

    def run_stage(self, stage: str, before: Callable[[], None] | None = None, **environment: str) -> Done:
        started_s = time.monotonic()
        return ended(self.start_stage(stage, before, **environment), started_s)

    def repro(self, *words: str, before: Callable[[], None] | None = None, **environment: str) -> Done:
        """`dvc repro words`."""
        return self.run("dvc", "repro", *words, before=before, **environment)

    def took_s(self) -> dict[str, float]:
        """How long each stage took in `dvc repro`, undisturbed."""
        found: dict[str, float] = json.loads((self.folder / TOOK).read_text(encoding="utf-8"))
        return found

    def lost_s(self, wall_s: float, *stages: str) -> float:
        """Of so many seconds those that these stages, which had to run anyway, would not have taken undisturbed."""
        return wall_s - sum(self.took_s()[stage] for stage in stages)

    def outcome(self) -> dict[str, Any]:
        """What must be the same whatever happened on the way: bytes by their sha256, scores and curves as numbers."""
        found: dict[str, Any] = {}
        for path in self._made():
            name = str(path.relative_to(self.data))
            if path.suffix == ".json":
                found[name] = without_own(json.loads(path.read_text(encoding="utf-8")))
            else:
                found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        return found

    def _made(self) -> Iterator[Path]:
        for name in ("base", "corpus", "manifest", "features", "selection", "model", "export"):
            yield from sorted(
                path for path in (self.data / name).rglob("*") if path.suffix in (".parquet", ".safetensors")
            )
        for name in ("baseline/predictions.parquet", "report/predictions.parquet", "report/metrics.json", "run.json"):
            yield self.data / name


def _as_in_a_terminal(then: Callable[[], None] | None) -> None:
    """Signals end a process, as they do where the suite itself runs behind `nohup` or `&`, which have them ignored."""
    for name in (signal.SIGINT, signal.SIGHUP):
        signal.signal(name, signal.SIG_DFL)
    if then:
        then()


def ended(running: Running, started_s: float, longest_s: float = LONGEST_S) -> Done:
    """Waits for its end; one that takes too long is killed, and fails the test."""
    try:
        said, _ = running.process.communicate(timeout=longest_s)
    except subprocess.TimeoutExpired:
        os.killpg(running.process.pid, signal.SIGKILL)
        said, _ = running.process.communicate()
        raise AssertionError(f"not ended after {longest_s:g} s; it said: {said}") from None
    return Done(running.process.returncode, said, time.monotonic() - started_s)


def without_own(found: Any) -> Any:
    """The same without what each run has of its own, at any depth."""
    match found:
        case dict():
            return {key: without_own(value) for key, value in found.items() if key not in OWN}
        case list():
            return [without_own(value) for value in found]
        case _:
            return found


def remove(path: Path) -> None:
    """A file or a folder, or nothing."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def made(folder: Path) -> Flow:
    """The project as git has it, with the small corpus, after one `dvc repro`."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file() and not name.startswith(("tests/", "docs/", "benchmarks/")):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    flow = Flow(folder)
    flow.choose(SMALL)
    git = ["git", "-c", "user.name=Tester", "-c", "user.email=tester@localhost", "-c", "commit.gpgsign=false"]
    for words in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "Copy the project"]):
        subprocess.run([*git, *words], cwd=folder, check=True)
    (folder / TOOK).write_text(json.dumps(_undisturbed(flow)), encoding="utf-8")
    return flow


def _undisturbed(flow: Flow) -> dict[str, float]:
    """Runs all stages, and tells how long each took."""
    running = flow.start("dvc", "repro", PYTHONUNBUFFERED="1")
    began_s, said = {}, []
    for line in running.process.stdout or ():
        said.append(line)
        if found := re.match(r"Running stage '(\w+)'", line):
            began_s[found[1]] = time.monotonic()
    assert running.process.wait() == 0, "".join(said)
    ended_s = [*began_s.values(), time.monotonic()][1:]
    return {stage: end_s - began_s[stage] for stage, end_s in zip(began_s, ended_s, strict=True)}
