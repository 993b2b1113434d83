"""Object stores that fail, are slow, drop connections or refuse: features and audio in them, read and written."""

import os
import time
import uuid
from pathlib import Path

import pytest

from asr import storage
from asr.corpora import manifest
from asr.shards import read_index
from asr.utterances import Utterance
from tests.builders import speech_like
from tests.faults.flow import Flow
from tests.faults.proxy import proxied
from tests.faults.table import Seen, note
from tests.running import Project

pytest_plugins = ["tests.emulators"]
pytestmark = pytest.mark.slow

N_CLIPS = 6
ENDPOINT = {"s3": "AWS_ENDPOINT_URL", "gs": "STORAGE_EMULATOR_HOST"}


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import soundfile

    folder = tmp_path_factory.mktemp("clips")
    for n in range(N_CLIPS):
        soundfile.write(folder / f"{n}.wav", speech_like(1.0 + n / 4, seed=n), 16_000)
    return folder


def rows(root: str, clips: Path) -> list[Utterance]:
    return [
        Utterance(
            f"clip-{n}",
            storage.join(root, f"{n}.wav"),
            f"Text {n}.",
            "es",
            ("train", "train", "validation", "test")[n % 4],
            source_bytes=(clips / f"{n}.wav").stat().st_size,
        )
        for n in range(N_CLIPS)
    ]


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory, scratch: Path, clips: Path) -> dict[str, str]:
    """The shards' sha256 where all lies on this machine."""
    folder = tmp_path_factory.mktemp("here") / "project"
    return Project.make(folder, scratch, clips, rows(str(clips), clips), shard_mb=10).run(BEAM_WORKERS="1")


def shards(project: Project) -> dict[str, str]:
    index = read_index(project.features)
    return {entry.name: entry.sha256 for entries in index.splits.values() for entry in entries}


def remote(folder: Path, scratch: Path, clips: Path, store: str) -> Project:
    """A project whose audio lies in a store."""
    for path in clips.iterdir():
        storage.put_bytes(path.read_bytes(), storage.join(store, f"clips/{path.name}"))
    project = Project.make(folder, scratch, clips, rows(str(clips), clips), shard_mb=10)
    manifest.write(rows(storage.join(store, "clips"), clips), folder / "data/manifest")
    return project


@pytest.mark.parametrize("scheme", ENDPOINT)
@pytest.mark.parametrize(
    ("illness", "what"),
    [
        ("503", "answers every third request with 503"),
        ("429", "answers every third request with 429"),
        ("slow", "is slow, 0.2 s a request"),
        ("drops", "drops every third connection"),
        ("cuts", "cuts every third answer off"),
    ],
)
def test_a_store_that_is_ill_gives_and_gets_the_same_bytes(
    request: pytest.FixtureRequest,
    here: dict[str, str],
    scratch: Path,
    clips: Path,
    tmp_path: Path,
    scheme: str,
    illness: str,
    what: str,
) -> None:
    store: str = request.getfixturevalue(scheme)
    project = remote(tmp_path / "project", scratch, clips, store)
    began_s = time.monotonic()
    with proxied(os.environ[ENDPOINT[scheme]]) as proxy:
        proxy.illness = illness
        environment = {"FEATURES_ROOT": storage.join(store, "features"), ENDPOINT[scheme]: proxy.endpoint}
        status, said = project.start(BEAM_WORKERS="1", **environment).end()
    wall_s = time.monotonic() - began_s
    assert status == 0, said
    assert "Traceback" not in said, said
    assert proxy.n_failed > 0 or illness == "slow"
    assert shards(project) == here
    note(Seen("stores", f"{scheme}:// {what}", "", "all: the request is made again", wall_s))


@pytest.mark.parametrize("scheme", ENDPOINT)
def test_a_training_from_a_store_that_is_ill_has_the_same_weights(
    request: pytest.FixtureRequest, flow: Flow, scheme: str
) -> None:
    store: str = request.getfixturevalue(scheme)
    weights = flow.data / "model/model.safetensors"
    expected = weights.read_bytes()
    (flow.folder / "dvc.lock").unlink()  # what it says is of the shards on this machine
    for stage in ("preprocess", "selection"):
        made = flow.run_stage(stage, FEATURES_ROOT=storage.join(store, "features"))
        assert made.status == 0, made.said
    with proxied(os.environ[ENDPOINT[scheme]]) as proxy:
        proxy.illness = "all"
        done = flow.run_stage("train", **{ENDPOINT[scheme]: proxy.endpoint})
    assert done.status == 0, done.said
    assert "Traceback" not in done.said, done.said
    assert proxy.n_failed > 0
    assert weights.read_bytes() == expected
    what = f"{scheme}:// fails every third request of a training, each in another way"
    note(Seen("stores", what, "", "all: the request is made again", flow.lost_s(done.wall_s, "train")))


@pytest.mark.parametrize("scheme", ENDPOINT)
def test_a_store_that_is_away_is_a_line_and_the_next_run_goes_on(
    request: pytest.FixtureRequest, here: dict[str, str], scratch: Path, clips: Path, tmp_path: Path, scheme: str
) -> None:
    store: str = request.getfixturevalue(scheme)
    project = remote(tmp_path / "project", scratch, clips, store)
    began_s = time.monotonic()
    environment = {"FEATURES_ROOT": storage.join(store, "features"), "BEAM_WORKERS": "1"}
    status, said = project.start(**environment, **{ENDPOINT[scheme]: "http://127.0.0.1:9"}).end()
    wall_s = time.monotonic() - began_s
    assert status == 1
    (line,) = [line for line in said.splitlines() if line.startswith("error: ")]
    assert "Traceback" not in said, said
    project.start(**environment).end()
    assert shards(project) == here
    note(Seen("stores", f"{scheme}:// is away", line, "the finished shards", wall_s))


def test_credentials_that_are_refused_are_a_line(s3: str, scratch: Path, clips: Path, tmp_path: Path) -> None:
    project = remote(tmp_path / "project", scratch, clips, s3)
    with proxied(os.environ["AWS_ENDPOINT_URL"]) as proxy:
        proxy.illness, proxy.every = "403", 1
        environment = {"FEATURES_ROOT": storage.join(s3, "features"), "AWS_ENDPOINT_URL": proxy.endpoint}
        began_s = time.monotonic()
        status, said = project.start(BEAM_WORKERS="1", **environment).end()
    assert status == 1
    (line,) = [line for line in said.splitlines() if line.startswith("error: ")]
    assert "Traceback" not in said and "test-secret" not in said, said
    note(Seen("stores", "s3:// refuses the credentials", line, "all", time.monotonic() - began_s))


def test_a_bucket_that_is_gone_is_a_line(s3: str, scratch: Path, clips: Path, tmp_path: Path) -> None:
    project = remote(tmp_path / "project", scratch, clips, s3)
    began_s = time.monotonic()
    status, said = project.start(BEAM_WORKERS="1", FEATURES_ROOT=f"s3://gone-{uuid.uuid4().hex}/features").end()
    assert status == 1
    (line,) = [line for line in said.splitlines() if line.startswith("error: ")]
    assert "Traceback" not in said, said
    note(Seen("stores", "the bucket of the features is gone", line, "all", time.monotonic() - began_s))
