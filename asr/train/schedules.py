"""The section `train` of params.yaml -> the learning-rate schedule of transformers' Trainer, and its arguments."""

import math
from typing import Any

from asr.errors import UserError
from asr.params import Train

CYCLES = 3  # of cosine_with_restarts; transformers' default of one is the plain cosine
POWER = 2.0  # of polynomial; transformers' default of one is linear
DECAY_SHARE = 0.2  # of all steps; Hägele et al. 2024 (arXiv 2405.18392), with their decay by 1 - sqrt


def scheduler(train: Train) -> tuple[str, dict[str, Any]]:
    """`lr_scheduler_type` and `lr_scheduler_kwargs` of Trainer's arguments; all but `constant` fall after the warm-up.

    Raises `UserError` where a schedule that needs steps after the warm-up has none.
    """
    n_steps_left = train.max_steps - train.warmup_steps
    if train.schedule in ("polynomial", "warmup_stable_decay") and n_steps_left <= 0:
        raise UserError(
            f"train.warmup_steps {train.warmup_steps} leaves none of train.max_steps {train.max_steps} to the schedule "
            f"{train.schedule}; take fewer"
        )
    n_decay_steps = min(math.ceil(DECAY_SHARE * train.max_steps), n_steps_left)
    others: dict[str, tuple[str, dict[str, Any]]] = {
        "constant": ("constant_with_warmup", {}),
        "cosine_with_restarts": ("cosine_with_restarts", {"num_cycles": CYCLES}),
        "polynomial": ("polynomial", {"power": POWER, "lr_end": 0.0}),
        "warmup_stable_decay": ("warmup_stable_decay", {"num_decay_steps": n_decay_steps, "decay_type": "1-sqrt"}),
    }
    return others.get(train.schedule, (train.schedule, {}))
