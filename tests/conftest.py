"""What many tests share: a new small checkpoint, and real speech."""

import os

import pytest

# Before torch and scipy are loaded: as many test processes as cores, a thread each.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from asr import params
from asr.checkpoints import fetch
from asr.errors import UserError


@pytest.fixture(scope="session")
def scratch(tmp_path_factory):
    """A base folder as fetch leaves it, of a new Whisper of two narrow layers with the real multilingual tokenizer."""
    folder = tmp_path_factory.mktemp("scratch") / "base"
    fetch(params.Model(checkpoint="scratch"), folder)
    return folder
