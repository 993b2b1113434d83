"""What Trainer reports at each step -> points of the training's curves, and signs of life for who waits.

A terminal gets a bar, a log file a line after the first steps and then each ten seconds.
"""

import math
import sys
import time
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from transformers import TrainerCallback

from asr.errors import UserError

Log = Callable[[dict[str, float], int], None]
N_POINTS = 200  # of a curve, about
EARLY_STEP = 3  # when the first line is said: early, but past the first step's own costs
INTERVAL_S = 10.0


class Curves(TrainerCallback):
    """Hands `log` (metrics, step): train_loss, learning_rate, gradient_norm, clips_per_second, validation_loss.

    All but the last are means since the point before. `clips_per_step` is the mean of an epoch; time that goes into
    validation does not count. Raises `UserError` as soon as a loss is not a number.
    """

    def __init__(self, log: Log, clips_per_step: float, is_first_process: bool) -> None:
        self.log, self.clips_per_step, self.is_first_process = log, clips_per_step, is_first_process
        self.train_loss = math.nan
        self.validation_loss: float | None = None
        self.n_steps = 0
        self.validation_s = 0.0
        self._since_point: list[float] = []
        self._line = ""
        console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.description}"),
            console=console,
            disable=not (console.is_terminal and is_first_process),
        )

    @property
    def training_s(self) -> float:
        return time.monotonic() - self._began_s - self.validation_s

    @property
    def clips_per_second(self) -> float:
        """Over the whole training."""
        return self.n_steps * self.clips_per_step / max(self.training_s, 1e-9)

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._began_s = self._said_s = time.monotonic()
        self._point_s = 0.0
        self._every = max(1, state.max_steps // N_POINTS)
        self._bar.start()
        self._task = self._bar.add_task("", total=state.max_steps)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.stop()

    def stop(self) -> None:
        """Gives the terminal back."""
        self._bar.stop()

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
        logs = logs or {}
        if "loss" in logs:
            self._on_step(logs, state.global_step, state.max_steps)
        if "eval_loss" in logs:
            self.validation_loss = logs["eval_loss"]
            self.validation_s += logs["eval_s"]
            self._record({"validation_loss": self.validation_loss}, state.global_step)
            self._say(f"step {state.global_step}/{state.max_steps}  validation loss {self.validation_loss:.3f}")

    def _on_step(self, logs: dict[str, float], step: int, max_steps: int) -> None:
        loss = logs["loss"]
        if not math.isfinite(loss):
            raise UserError(
                f"the loss is {loss} at step {step}: train.learning_rate {logs['learning_rate']:.1e} at that step is "
                "probably too high; try a tenth of it, or more train.warmup_steps"
            )
        self.n_steps += 1
        self._since_point.append(loss)
        if step % self._every == 0 or step == max_steps:
            self.train_loss = sum(self._since_point) / len(self._since_point)
            rate = len(self._since_point) * self.clips_per_step / max(self.training_s - self._point_s, 1e-9)
            self._since_point, self._point_s = [], self.training_s
            point = {"train_loss": self.train_loss, "learning_rate": logs["learning_rate"], "clips_per_second": rate}
            self._record(point | {"gradient_norm": logs["grad_norm"]}, step)
        self._show(loss, logs["learning_rate"], step, max_steps)

    def _show(self, loss: float, learning_rate: float, step: int, max_steps: int) -> None:
        text = f"loss {loss:.3f}  learning rate {learning_rate:.1e}  {self.clips_per_second:.1f} clips/s"
        self._bar.update(self._task, completed=step, description=text)
        now_s = time.monotonic()
        if step in (EARLY_STEP, max_steps) or now_s - self._said_s >= INTERVAL_S:
            self._said_s = now_s
            left_s = (max_steps - step) * self.training_s / self.n_steps
            self._say(f"step {step}/{max_steps}  {text}  {_clock(left_s)} left")

    def _record(self, metrics: dict[str, float], step: int) -> None:
        if self.is_first_process:
            self.log(metrics, step)

    def _say(self, line: str) -> None:
        if self.is_first_process and self._bar.disable:
            print(line, file=sys.stderr, flush=True)


def _clock(duration_s: float) -> str:
    minutes, seconds = divmod(round(duration_s), 60)
    return f"{minutes}:{seconds:02d}"
