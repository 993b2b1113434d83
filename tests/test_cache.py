from pathlib import Path

import pytest

from asr.cache import cache_folder


def test_downloads_are_kept_where_the_user_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/large/disk")
    assert cache_folder() == Path("/large/disk/whisper-fine-tuning")


@pytest.mark.parametrize("said", ["", None])
def test_else_they_are_kept_where_users_look_for_caches(monkeypatch: pytest.MonkeyPatch, said: str | None) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    if said is not None:
        monkeypatch.setenv("XDG_CACHE_HOME", said)
    monkeypatch.setenv("HOME", "/home/somebody")
    assert cache_folder() == Path("/home/somebody/.cache/whisper-fine-tuning")
