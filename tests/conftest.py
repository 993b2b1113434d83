"""What many tests share: a new small checkpoint, and real speech."""

import contextlib
import io
import os
import signal
import tempfile
from pathlib import Path

import pytest

# Before torch and scipy are loaded: as many test processes as cores, a thread each.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from asr import params
from asr.cache import cache_folder
from asr.errors import UserError
from asr.experiments.run import Run
from asr.models.base import fetch
from asr.sources import tuxpaint
from asr.utterances import Utterance

REAL_LANGUAGES = ["en", "es", "fr", "bg", "el", "ru"]
CLIPS_OF_EACH = 35


@pytest.fixture(scope="session")
def scratch(tmp_path_factory):
    """A base folder as fetch leaves it, of a new Whisper of two narrow layers with the real multilingual tokenizer."""
    folder = tmp_path_factory.mktemp("scratch") / "base"
    fetch(params.Model(checkpoint="scratch"), folder)
    return folder


@pytest.fixture(scope="session")
def real_base(tmp_path_factory):
    """A base folder as fetch leaves it, of OpenAI's multilingual base."""
    folder = tmp_path_factory.mktemp("whisper") / "base"
    try:
        fetch(params.Model(checkpoint="openai/whisper-base"), folder)
    except UserError as error:
        pytest.skip(f"NO REAL CHECKPOINT, so decoding stays unchecked against transformers: {error}")
    return folder


@pytest.fixture(scope="session")
def real_clips():
    """(path, language, text) of some 200 clips of people speaking, 0.5 to 5 s long; kept in the user's cache."""
    data = params.Data(source="tuxpaint", tuxpaint=params.Tuxpaint(languages=REAL_LANGUAGES))
    folder = cache_folder() / "test-clips"
    if not folder.exists():
        with tempfile.TemporaryDirectory(dir=_made(cache_folder())) as part:
            try:
                utterances = list(tuxpaint.utterances(data, Path(part) / "clips"))
            except UserError as error:
                pytest.skip(f"NO REAL SPEECH, so features, labels and decoding stay unchecked on it: {error}")
            for language in REAL_LANGUAGES:
                spoken = [row for row in utterances if isinstance(row, Utterance) and row.language == language]
                for row in spoken[:: max(1, len(spoken) // CLIPS_OF_EACH)]:
                    Path(row.audio).with_suffix(".txt").write_text(row.text)
            for path in (Path(part) / "clips").rglob("*.ogg"):
                if not path.with_suffix(".txt").exists():
                    path.unlink()
            with contextlib.suppress(OSError):  # another test process was quicker
                (Path(part) / "clips").rename(folder)
    return [
        (str(path), path.parent.name, path.with_suffix(".txt").read_text()) for path in sorted(folder.rglob("*.ogg"))
    ]


@pytest.fixture(scope="session")
def experiments(tmp_path_factory):
    """A folder with MLflow's database, which takes seconds to make."""
    folder = tmp_path_factory.mktemp("experiments")
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as said:
        patch.chdir(folder)
        for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
            patch.delenv(name, raising=False)
        with Run("first", journal=folder / "journal"):
            pass
    assert said.getvalue().startswith("creating the experiments' database mlflow.db\n")
    return folder


@pytest.fixture
def client(experiments, monkeypatch):
    """MLflow's client of a database that runs go to meanwhile; what handles SIGTERM is put back."""
    from mlflow import MlflowClient

    uri = f"sqlite:///{experiments / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    handler = signal.getsignal(signal.SIGTERM)
    yield MlflowClient(uri)
    signal.signal(signal.SIGTERM, handler)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
