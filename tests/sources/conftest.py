"""What the tests of several sources start from."""

from pathlib import Path

import numpy as np
import pytest
import soundfile


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's folder, with four recordings in `corpus/clips`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "corpus/clips").mkdir(parents=True)
    for n, name in enumerate("abcd", 1):
        soundfile.write(tmp_path / f"corpus/clips/{name}.wav", np.zeros(1600 * n), 16_000)
    return tmp_path
