"""A model hub that is away, slow, broken or lies, a cache that takes nothing, and a dataset hub that fails."""

import io
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile

from asr.features import RATE_HZ
from tests.builders import speech_like
from tests.faults.disks import disk
from tests.faults.flow import Done, Flow, remove
from tests.faults.hub import CHECKPOINT, hub_environment, model_hub
from tests.faults.table import Seen, note
from tests.sources.hub import Hub as DatasetHub

pytestmark = pytest.mark.slow
N_ROWS = 12
DATASET = {
    "data": {"source": "huggingface", "language": "en", "huggingface": {"path": "a/speech"}},
    "model": {"checkpoint": "scratch"},
}


def refused(done: Done, name: str) -> None:
    """It ended in one line that names what was asked for."""
    assert done.status == 1, done.said
    assert len(done.errors) == 1 and name in done.line, done.said
    assert "Traceback" not in done.said, done.said


def told(done: Done) -> Path:
    """The folder that the line says to remove."""
    (folder,) = re.findall(r"remove (\S+), and it is downloaded again", done.line)
    return Path(folder)


def test_a_hub_that_is_away_is_a_line(flow: Flow, undisturbed: Flow, tmp_path: Path) -> None:
    flow.choose(CHECKPOINT)
    with model_hub(undisturbed.data / "base") as hub:
        environment = hub.environment(tmp_path / "home")
        done = flow.run_stage("fetch", **{**environment, "HF_ENDPOINT": "http://127.0.0.1:9"})
        refused(done, "a/whisper")
        assert flow.run_stage("fetch", **environment).status == 0
        cached = flow.run_stage("fetch", **{**environment, "HF_ENDPOINT": "http://127.0.0.1:9"})
    assert cached.status == 0, cached.said
    note(Seen("servers", "the model hub is down, and its cache empty", done.line, "nothing half", done.wall_s))
    sees = "\n".join(cached.errors)
    note(Seen("servers", "the model hub is down, and its cache has it", sees, "the checkpoint", cached.wall_s))


LEAVES_SOMETHING = ("sends garbage", "breaks off", "stalls", "asks for patience")
OUT_OF_REACH = "was told as out of reach, without how it answers"
MENDED_LINES = {
    **dict.fromkeys(("hangs", "garbage", "portal", "redirects", "asks for patience"), OUT_OF_REACH),
    "sends garbage": "the line did not name the checkpoint, nor the folder without which it is downloaded again",
}


@pytest.mark.parametrize(
    ("illness", "what"),
    [
        ("hangs", "the model hub accepts and never answers"),
        ("garbage", "the model hub answers garbage"),
        ("portal", "a captive portal answers for the model hub"),
        ("redirects", "the model hub redirects in circles"),
        ("asks for patience", "the model hub answers 429, too many requests"),
        ("is not told who asks", "the model hub wants its terms accepted"),
        ("does not know it", "the model hub does not know the checkpoint"),
        ("sends garbage", "the model hub's weights are garbage"),
        ("breaks off", "the download from the model hub breaks off"),
        ("stalls", "the download from the model hub stalls"),
    ],
)
def test_a_hub_that_is_ill_is_a_line_and_the_next_fetch_has_it(
    flow: Flow, undisturbed: Flow, tmp_path: Path, illness: str, what: str
) -> None:
    flow.choose(CHECKPOINT)
    with model_hub(undisturbed.data / "base") as hub:
        environment = hub.environment(tmp_path / "home")
        hub.illness = illness
        done = flow.run_stage("fetch", **environment)
        hub.illness = ""
        assert done.status == 1, done.said
        assert len(done.errors) == 1 and "a/whisper" in done.line, done.said
        assert "Traceback" not in done.said, done.said
        assert not (flow.data / "base").exists()
        if illness == "sends garbage":  # under the right name and of the right size
            remove(told(done))
        if illness in LEAVES_SOMETHING:
            assert flow.run_stage("fetch", **environment).status == 0
            for name in ("model.safetensors", "tokenizer.json", "front_end.json"):
                assert (flow.data / "base" / name).read_bytes() == (undisturbed.data / "base" / name).read_bytes()
    note(Seen("servers", what, done.line, "nothing half", done.wall_s, MENDED_LINES.get(illness, "")))


def test_a_slow_hub_is_waited_for(flow: Flow, undisturbed: Flow, tmp_path: Path) -> None:
    flow.choose(CHECKPOINT)
    with model_hub(undisturbed.data / "base") as hub:
        hub.illness = "is slow"
        done = flow.run_stage("fetch", **hub.environment(tmp_path / "home"))
    assert done.status == 0, done.said
    weights = "base/model.safetensors"
    assert (flow.data / weights).read_bytes() == (undisturbed.data / weights).read_bytes()
    note(Seen("servers", "the model hub is slow", "", "all", flow.lost_s(done.wall_s, "fetch")))


@pytest.mark.parametrize(
    ("options", "what", "remedy"),
    [
        ("size=4m", "the disk of the hub's cache is full", "make room"),
        ("ro", "the folder of the hub's cache is read-only", "mount it"),
    ],
)
def test_a_cache_that_takes_no_checkpoint_is_a_line(
    flow: Flow, undisturbed: Flow, tmp_path: Path, options: str, what: str, remedy: str
) -> None:
    flow.choose(CHECKPOINT)
    with model_hub(undisturbed.data / "base") as hub, disk(tmp_path / "home", options) as home:
        done = flow.run_stage("fetch", **hub.environment(home))
        refused(done, "a/whisper")
        again = flow.run_stage("fetch", **hub.environment(tmp_path / "other"))
    assert remedy in done.line, done.line
    assert again.status == 0, again.said
    mended = "the line says what to do, and where; it said to run it again"
    note(Seen("servers", what, done.line, "nothing half", done.wall_s, mended))


def wav(number: int) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, speech_like(0.4 + number / 20, seed=number), RATE_HZ, format="WAV")
    return file.getvalue()


def dataset() -> bytes:
    """A Parquet file with the columns of a dataset of speech."""
    rows = [{"audio": {"bytes": wav(n), "path": f"{n}.wav"}, "text": f"Text {n}."} for n in range(N_ROWS)]
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), file)
    return file.getvalue()


@pytest.fixture
def dataset_hub() -> Iterator[DatasetHub]:
    hub = DatasetHub({"a/speech": {"data/train-00000-of-00001.parquet": dataset()}})
    threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield hub
    hub.shutdown()
    hub.server_close()


@pytest.mark.parametrize(
    ("what", "names", "change"),
    [
        ("the dataset hub does not know the dataset", "a/speech", {}),
        (
            "the dataset hub's Parquet file is garbage",
            "a--speech",
            {"data/train-00000-of-00001.parquet": b"\xff" * 4000},
        ),
    ],
)
def test_a_dataset_hub_that_is_ill_is_a_line_and_the_next_run_has_the_rows(
    flow: Flow, dataset_hub: DatasetHub, tmp_path: Path, what: str, names: str, change: dict[str, bytes]
) -> None:
    flow.choose(DATASET)
    good = dataset_hub.datasets.pop("a/speech")
    if change:
        dataset_hub.datasets["a/speech"] = change
    done = flow.run_stage("prepare", **hub_environment(dataset_hub.endpoint, tmp_path / "home"))
    refused(done, names)
    assert not (flow.data / "manifest/manifest.parquet").exists()
    dataset_hub.datasets["a/speech"] = good
    if change:
        remove(told(done))
    again = flow.run_stage("prepare", **hub_environment(dataset_hub.endpoint, tmp_path / "home"))
    assert again.status == 0, again.said
    assert pq.read_table(flow.data / "manifest/manifest.parquet").num_rows == N_ROWS
    mended = "the line said to fetch it again, which takes the same from the cache" if change else ""
    note(Seen("servers", what, done.line, "nothing half", done.wall_s, mended))


def test_a_dataset_hub_that_is_away_is_a_line(flow: Flow, tmp_path: Path) -> None:
    flow.choose(DATASET)
    done = flow.run_stage("prepare", **hub_environment("http://127.0.0.1:9", tmp_path / "home"))
    refused(done, "a/speech")
    mended = "the line says how the hub answered"
    note(Seen("servers", "the dataset hub is down", done.line, "nothing half", done.wall_s, mended))
