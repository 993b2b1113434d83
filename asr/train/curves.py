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
from transformers.trainer_callback import ExportableState

from asr.errors import UserError
from asr.train import advice

Log = Callable[[dict[str, float], int], None]
N_POINTS = 200  # of a curve, about
EARLY_STEP = 3  # when the first line is said: early, but past the first step's own costs
INTERVAL_S = 10.0
SPEED_PERIOD_S = 600.0  # over which the bar measures its speed; a step can take a minute
# What a training that goes on takes over from the one before it, together with the seconds.
KEPT = ("n_steps", "train_loss", "validation_loss", "validation_wer", "waited_s", "warnings")


class Curves(TrainerCallback, ExportableState):
    """Hands `log` (metrics, step): train_loss, learning_rate, gradient_norm, clips_per_second and waiting_share, which
    are means since the point before, and validation_loss and validation_wer.

    `clips_per_step` is the mean of an epoch; time that goes into validation does not count. The trainer adds to
    `waited_s` the seconds that it waits for data. `warnings` has a line of each kind that was given, and is said at
    once. Raises `UserError` as soon as a loss is not a number. Its state goes with Trainer's checkpoints.
    """

    def __init__(self, log: Log, clips_per_step: float, is_first_process: bool) -> None:
        self.log, self.clips_per_step, self.is_first_process = log, clips_per_step, is_first_process
        self.train_loss = math.nan
        self.validation_loss: float | None = None
        self.validation_wer: float | None = None
        self.warnings: dict[str, str] = {}
        self.n_steps = 0
        self.validation_s = 0.0
        self.waited_s = 0.0
        self._began_s = time.monotonic()
        self._since_point: list[float] = []
        self._point_s = self._point_waited_s = 0.0
        self._looks: list[advice.Look] = []
        console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("training"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.description}"),
            console=console,
            speed_estimate_period=SPEED_PERIOD_S,
            disable=not (console.is_terminal and is_first_process),
        )

    @property
    def training_s(self) -> float:
        return time.monotonic() - self._began_s - self.validation_s

    @property
    def clips_per_second(self) -> float:
        """Over the whole training."""
        return self.n_steps * self.clips_per_step / max(self.training_s, 1e-9)

    @property
    def waiting_share(self) -> float:
        """Over the whole training."""
        return min(1.0, self.waited_s / max(self.training_s, 1e-9))

    def state(self) -> dict[str, Any]:
        kept = {name: getattr(self, name) for name in KEPT}
        point = {"losses": self._since_point, "s": self._point_s, "waited_s": self._point_waited_s}
        attributes = {**kept, "training_s": self.training_s, "looks": self._looks, "point": point}
        return {"args": {}, "attributes": attributes}

    def _go_on_from(self, attributes: dict[str, Any]) -> None:
        warnings = attributes["warnings"] | self.warnings
        for name in KEPT:
            setattr(self, name, attributes[name])
        self.warnings = warnings
        self._looks = [advice.Look(*look) for look in attributes["looks"]]
        point = attributes["point"]
        self._since_point, self._point_s, self._point_waited_s = point["losses"], point["s"], point["waited_s"]
        self._began_s = time.monotonic() - attributes["training_s"]

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._began_s = self._said_s = time.monotonic()
        if state.global_step:
            # Trainer itself would replace this object by one without `log`.
            self._go_on_from(state.stateful_callbacks[type(self).__name__]["attributes"])
        self._every = max(1, state.max_steps // N_POINTS)
        self._early_step = state.global_step + EARLY_STEP
        self._bar.start()
        self._task = self._bar.add_task("", total=state.max_steps, completed=state.global_step)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.stop()

    def stop(self) -> None:
        """Gives the terminal back."""
        self._bar.stop()

    def warn(self, kind: str, line: str | None) -> None:
        """Says a line of advice, if there is one, and if it is the first of its kind in this training."""
        if line and kind not in self.warnings:
            self.warnings[kind] = line
            self._say(f"warning: {line}")

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
        logs = logs or {}
        if "loss" in logs:
            self._on_step(logs, state.global_step, state.max_steps)
        if "eval_loss" in logs:
            self._on_look(logs, state.global_step, state.max_steps)

    def _on_step(self, logs: dict[str, float], step: int, max_steps: int) -> None:
        loss = logs["loss"]
        _refuse_no_number("loss", loss, step, logs["learning_rate"])
        _refuse_no_number("gradient's norm", logs["grad_norm"], step, logs["learning_rate"])
        if not self.n_steps:
            self.train_loss = loss  # until the first point
        self.n_steps += 1
        self._since_point.append(loss)
        if step % self._every == 0 or step == max_steps:
            self._on_point(logs, step)
        self._show(loss, logs["learning_rate"], step, max_steps)

    def _on_point(self, logs: dict[str, float], step: int) -> None:
        now_s, n_losses = self.training_s, len(self._since_point)
        duration_s = max(now_s - self._point_s, 1e-9)
        self.train_loss = sum(self._since_point) / n_losses
        point = {
            "train_loss": self.train_loss,
            "learning_rate": logs["learning_rate"],
            "gradient_norm": logs["grad_norm"],
            "clips_per_second": n_losses * self.clips_per_step / duration_s,
            "waiting_share": min(1.0, (self.waited_s - self._point_waited_s) / duration_s),
        }
        self._since_point, self._point_s, self._point_waited_s = [], now_s, self.waited_s
        self._record(point, step)
        self.warn("waiting", advice.waiting(self.waiting_share, now_s))

    def _on_look(self, logs: dict[str, float], step: int, max_steps: int) -> None:
        _refuse_no_number("validation loss", logs["eval_loss"], step)
        self.validation_loss, self.validation_wer = logs["eval_loss"], logs.get("eval_wer")
        self.validation_s += logs["eval_s"]
        point = {"validation_loss": self.validation_loss}
        line = f"step {step}/{max_steps}  validation loss {self.validation_loss:.3f}"
        if self.validation_wer is not None:
            point["validation_wer"] = self.validation_wer
            line += f"  WER {100 * self.validation_wer:.1f} %"
        self._record(point, step)
        self._say(line)
        self._looks.append(advice.Look(step, self.train_loss, self.validation_loss, self.validation_wer))
        self.warn("over-fitting", advice.overfitting(self._looks))

    def _show(self, loss: float, learning_rate: float, step: int, max_steps: int) -> None:
        text = (
            f"loss {loss:.3f}  learning rate {learning_rate:.1e}  {self.clips_per_second:.1f} clips/s  "
            f"{100 * self.waiting_share:.0f} % waiting"
        )
        self._bar.update(self._task, completed=step, description=text)
        now_s = time.monotonic()
        if self._bar.disable and (step in (self._early_step, max_steps) or now_s - self._said_s >= INTERVAL_S):
            self._said_s = now_s
            left_s = (max_steps - step) * self.training_s / self.n_steps
            self._say(f"step {step}/{max_steps}  {text}  {_clock(left_s)} left")

    def _record(self, metrics: dict[str, float], step: int) -> None:
        if self.is_first_process:
            self.log(metrics, step)

    def _say(self, line: str) -> None:
        """On stderr; above the bar, where there is one."""
        if not self.is_first_process:
            return
        if self._bar.disable:
            print(line, file=sys.stderr, flush=True)
        else:
            self._bar.console.print(line, markup=False, highlight=False, soft_wrap=True)


def _refuse_no_number(name: str, value: float, step: int, learning_rate: float | None = None) -> None:
    if not math.isfinite(value):
        rate = "train.learning_rate" + (f" {learning_rate:.1e} at that step" if learning_rate is not None else "")
        raise UserError(
            f"the {name} is {value} at step {step}: {rate} is probably too high; try a tenth of it, or more "
            "train.warmup_steps"
        )


def _clock(duration_s: float) -> str:
    minutes, seconds = divmod(round(duration_s), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
