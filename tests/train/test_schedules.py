"""Schedules: the learning rates that a name in params.yaml stands for."""

from typing import get_args

import pytest
import torch
from transformers import get_scheduler

from asr.errors import UserError
from asr.params import Schedule, Train
from asr.train.schedules import scheduler


def rates(schedule, max_steps=100, warmup_steps=10) -> list[float]:
    """The learning rate of each step, and the one after the last, as shares of the peak."""
    train = Train(schedule=schedule, max_steps=max_steps, warmup_steps=warmup_steps)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    name, options = scheduler(train)
    schedule = get_scheduler(name, optimizer, warmup_steps, max_steps, options)
    found = []
    for _ in range(max_steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return [*found, optimizer.param_groups[0]["lr"]]


@pytest.mark.parametrize("schedule", get_args(Schedule))
def test_every_schedule_warms_up_to_the_peak_and_never_leaves_it_upwards(schedule):
    found = rates(schedule)
    assert found[:11] == pytest.approx([step / 10 for step in range(11)])
    assert all(0 <= rate <= 1 for rate in found)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("linear", [0.5, 0.0]),
        ("cosine", [0.5, 0.0]),
        ("cosine_with_restarts", [0.5, 0.0]),
        ("polynomial", [0.25, 0.0]),
        ("inverse_sqrt", [(10 / 55) ** 0.5, 0.1**0.5]),
        ("constant", [1.0, 1.0]),
        ("warmup_stable_decay", [1.0, 0.0]),
    ],
)
def test_the_rates_half_way_after_the_warm_up_and_at_the_end(schedule, expected):
    found = rates(schedule)
    assert [found[55], found[100]] == pytest.approx(expected)


def test_a_cosine_restarts_twice():
    found = rates("cosine_with_restarts")
    assert [step for step in range(11, 101) if found[step] > found[step - 1]] == [40, 70]


def test_the_last_fifth_of_a_stable_schedule_decays():
    found = rates("warmup_stable_decay")
    assert set(found[10:81]) == {1.0}
    assert found[80:] == sorted(found[80:], reverse=True) and found[85] == pytest.approx(0.5)


def test_a_decay_that_the_warm_up_leaves_less_than_a_fifth_begins_at_the_peak():
    assert rates("warmup_stable_decay", max_steps=10, warmup_steps=9)[8:] == pytest.approx([8 / 9, 1.0, 0.0])


@pytest.mark.parametrize("schedule", ["polynomial", "warmup_stable_decay"])
def test_a_schedule_that_the_warm_up_leaves_nothing_is_refused(schedule):
    with pytest.raises(UserError, match=rf"train\.warmup_steps 10 leaves none of train\.max_steps 10 .*{schedule}"):
        scheduler(Train(schedule=schedule, max_steps=10, warmup_steps=10))
