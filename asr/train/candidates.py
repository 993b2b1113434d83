"""Weights and scores at each look at the validation split -> the weights that become the checkpoint.

They are the last, the best, or a mean of several (Izmailov et al. 2018, arXiv 1803.05407), and between them and the
base checkpoint's. A callback of Trainer; what it knows lies in trainer_state.json, so that a resumed training goes on.
"""

import math
import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypedDict

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import TrainerCallback, TrainerControl, TrainerState
from transformers.trainer_callback import ExportableState

from asr.errors import UserError
from asr.models.checkpoints import explained_writing
from asr.params import Train

State = dict[str, torch.Tensor]


class Look(TypedDict):
    """A look at the validation split; the score is the lower the better, None where there is none."""

    step: int
    score: float | None


class Candidates(TrainerCallback, ExportableState):
    """Keeps the weights that the result may need, in `folder`; stops when `train.patience` is at its end.

    `weights` gives the plain weights of the moment. Each process has one of these and comes to the same decisions, as
    all see the same metrics; the first process writes.
    """

    def __init__(self, folder: Path, train: Train, weights: Callable[[], State], is_first_process: bool) -> None:
        self.folder, self.train, self.weights, self.is_first_process = folder, train, weights, is_first_process
        self.looks: list[Look] = []

    @property
    def chosen(self) -> list[int]:
        """The steps whose weights make the result, best first (`select: last`: latest first); none before a look."""
        if self.train.select == "last":
            ranked = self.looks[::-1]
        else:
            scored = [look for look in self.looks if look["score"] is not None]
            ranked = sorted(scored, key=lambda look: (look["score"], look["step"]))
        return [look["step"] for look in ranked[: self.train.average]]

    @property
    def is_patience_over(self) -> bool:
        """No look was better than the best one for `patience` looks."""
        if self.train.patience is None:
            return False
        best = self.chosen[:1]
        n_looks_since = len([look for look in self.looks if not best or look["step"] > best[0]])
        return n_looks_since >= self.train.patience

    def state(self) -> dict[str, Any]:
        """What Trainer writes into trainer_state.json."""
        return {"args": {}, "attributes": {"looks": [*self.looks]}}

    def on_train_begin(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        # Trainer would restore a callback by making a new one, which the caller of `result` does not have.
        callbacks: Any = state.stateful_callbacks
        self.looks = [*callbacks[type(self).__name__]["attributes"]["looks"]]
        control.should_training_stop = self.is_patience_over

    def on_evaluate(
        self,
        args: Any,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        # A training that was killed as its patience ended does a step more, which must not count.
        if not self.is_patience_over:
            score = (metrics or {}).get(f"eval_{self.train.select}", math.nan)
            self.looks.append({"step": state.global_step, "score": score if math.isfinite(score) else None})
            if self.needs_files and state.global_step in self.chosen and self.is_first_process:
                self._store(state.global_step)
        if self.is_patience_over:
            control.should_training_stop = True

    def on_save(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        # Only now: a training that is killed before it goes on from the checkpoint before, and with its files.
        if self.is_first_process:
            kept = {self._path(step) for step in self.chosen}
            for path in {*self.folder.glob("step-*.safetensors")} - kept:
                path.unlink()

    def result(self, last: State) -> State:
        """The weights that become the checkpoint; `last` are those that the training ended with.

        A mean is summed in float64, a tensor after the other. Raises `UserError` if a file is gone.
        """
        paths = [self._path(step) for step in self.chosen]
        if not self.needs_files or not paths:
            return last
        for path in paths:
            if not path.exists():
                raise UserError(
                    f"{path} is missing, which the result needs; remove {path.parent.parent}, and train anew"
                )
        return load_file(paths[0]) if len(paths) == 1 else _mean(paths)

    @property
    def needs_files(self) -> bool:
        """Whether the result is made of the weights at looks, and not of the last ones."""
        return self.train.select != "last" or self.train.average > 1

    def _path(self, step: int) -> Path:
        return self.folder / f"step-{step}.safetensors"

    def _store(self, step: int) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        part = self.folder / f"step-{step}.part"
        with explained_writing(part):
            save_file(self.weights(), part)
        with part.open("rb") as file:
            os.fsync(file.fileno())  # the checkpoint that lists it outlives a power cut too
        os.replace(part, self._path(step))


def _mean(paths: list[Path]) -> State:
    """The mean of the weights in these files, float32."""
    with ExitStack() as opened:
        files = [opened.enter_context(safe_open(path, framework="pt")) for path in paths]
        return {
            name: (sum(file.get_tensor(name).double() for file in files) / len(files)).float()
            for name in files[0].keys()  # noqa: SIM118  # no mapping
        }


def interpolate(state: State, base_state: State, keep_base: float) -> State:
    """(1 - keep_base) * state + keep_base * base_state, float32, exact at 0 and 1 and where both are equal.

    Robust fine-tuning by WiSE-FT: Wortsman et al. 2022, arXiv 2109.01903. `base_state` may have further weights.
    """
    return {name: torch.lerp(weight, base_state[name].float(), keep_base) for name, weight in state.items()}
