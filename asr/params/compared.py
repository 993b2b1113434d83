"""The sections `data` and `export` -> what each stage compares of them, with what params.yaml leaves out.

DVC refuses a param that it is told to compare and that params.yaml leaves out, so that the listing writes these down.
"""

from typing import Any

from asr.params.reading import Params


def corpus(choices: Params) -> dict[str, Any]:
    """What the manifest is made by."""
    elsewhere: dict[str, Any] = {"clean": True, "agreement": True, "sources": {"__all__": {"weight"}}}
    return choices.data.model_dump(exclude=elsewhere)


def agreement(choices: Params) -> dict[str, Any]:
    """Who hears train, and which rows of it."""
    return {"heard_by": choices.data.agreement.heard_by, **_copies(choices)}


def cleaning(choices: Params) -> dict[str, Any]:
    """What the selection goes by."""
    clean, max_wer = choices.data.clean.model_dump(), choices.data.agreement.max_wer
    shares = {name: (part.weight, part.max_hours) for name, part in choices.data.named_sources().items()}
    return {"clean": clean, "max_wer": max_wer, "shares": shares, "seed": choices.data.seed, **_copies(choices)}


def export(choices: Params) -> dict[str, Any]:
    """What is written besides the checkpoint."""
    return choices.export.model_dump()


def _copies(choices: Params) -> dict[str, Any]:
    return {"speeds": choices.audio.speeds, "augment": choices.audio.augment}
