"""Numbers in the environment: taken, defaulted, or refused by name."""

import pytest

from asr.environment import count, seconds
from asr.errors import UserError


def test_a_number_is_taken_from_the_environment(monkeypatch):
    monkeypatch.setenv("CHECKPOINT_EVERY_S", "0.5")
    monkeypatch.setenv("LOADER_WORKERS", "2")
    assert seconds("CHECKPOINT_EVERY_S", 600) == 0.5
    assert count("LOADER_WORKERS") == 2


@pytest.mark.parametrize("text", ["", None])
def test_without_one_the_default_stands(monkeypatch, text):
    monkeypatch.delenv("LOADER_WORKERS", raising=False)
    if text is not None:
        monkeypatch.setenv("LOADER_WORKERS", text)
    assert count("LOADER_WORKERS") is None
    assert seconds("LOADER_WORKERS", 600) == 600


@pytest.mark.parametrize("text", ["often", "-1", "nan", "inf"])
def test_what_is_no_number_is_refused_with_its_name(monkeypatch, text):
    monkeypatch.setenv("CHECKPOINT_EVERY_S", text)
    with pytest.raises(UserError, match=f"CHECKPOINT_EVERY_S is '{text}'"):
        seconds("CHECKPOINT_EVERY_S", 600)
    with pytest.raises(UserError, match="must be a count"):
        count("CHECKPOINT_EVERY_S")
