"""The environment -> the numbers in it that say how a stage runs; none of them changes a result."""

import os

from asr.errors import UserError


def seconds(name: str, default: float) -> float:
    """The seconds, 0 or more, that the variable `name` has. Raises `UserError` for what is no such number."""
    text = os.environ.get(name)
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise UserError(f"{name} is {text!r} in the environment, but must be seconds, 0 or more")
    return value


def count(name: str) -> int | None:
    """The count, 0 or more, that the variable `name` has; None without it. Raises `UserError` for what is none."""
    text = os.environ.get(name)
    if text and not text.isdecimal():
        raise UserError(f"{name} is {text!r} in the environment, but must be a count, 0 or more")
    return int(text) if text else None
