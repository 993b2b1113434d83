"""Datasets that the `datasets` library has written, and a hub of our own."""

import io
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from datasets import Audio, Dataset, DatasetDict
from huggingface_hub import constants

from asr import params
from asr.clips.ahead import Cells
from asr.clips.examples import examples
from asr.clips.tokens import Labeller
from asr.errors import UserError
from asr.features import RATE_HZ, log_mel
from asr.sources import huggingface
from asr.utterances import Rejected, Utterance
from tests.builders import decoded, speech_like
from tests.sources.hub import COMMIT, Hub, serving

N_ROWS = 6


def wav(number: int) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, speech_like(0.3 + number / 10, seed=number), RATE_HZ, format="WAV")
    return file.getvalue()


def dataset(first: int = 0, **columns: list[Any]) -> Dataset:
    numbers = range(first, first + N_ROWS)
    rows = {
        "audio": [{"bytes": wav(n), "path": f"{n}.wav"} for n in numbers],
        "text": [f"Text {n}." for n in numbers],
    }
    return Dataset.from_dict({**rows, **columns}).cast_column("audio", Audio(sampling_rate=RATE_HZ))


def parquet(path: Path, rows: Dataset | None = None, **arguments: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    (rows or dataset()).to_parquet(path, **arguments)
    return path


def data(path: str | Path, language: str = "en", **fields: Any) -> params.Data:
    chosen = params.HuggingFace(path=str(path), **fields)
    return params.Data(source="huggingface", language=language, huggingface=chosen)


def utterances(path: str | Path, **fields: Any) -> list[Utterance | Rejected]:
    return list(huggingface.utterances(data(path, **fields), Path("unused")))


def used(path: str | Path, **fields: Any) -> list[Utterance]:
    rows = utterances(path, **fields)
    assert not [row for row in rows if isinstance(row, Rejected)]
    return rows  # type: ignore[return-value]


def embedded(rows: list[Utterance]) -> list[bytes]:
    with Cells() as cells:
        return [cells.open_read(row.audio, row.row or 0).read() for row in rows]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def hub(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """With `a/speech`, of two configurations, and `a/recordings`, which has no Parquet."""
    content = {}
    for config in ("de", "es"):
        for split, first in (("train", 0), ("test", 10)):
            name = f"{config}/{split}-00000-of-00001.parquet"
            content[name] = parquet(folder / "made" / name, dataset(first), batch_size=2).read_bytes()
    content["README.md"] = (
        b"---\nconfigs:\n"
        b"- {config_name: de, data_files: [{split: train, path: de/train-*}, {split: test, path: de/test-*}]}\n"
        b"- {config_name: es, data_files: [{split: train, path: es/train-*}, {split: test, path: es/test-*}]}\n---\n"
    )
    shutil.rmtree(folder / "made")
    datasets = {"a/speech": content, "a/recordings": {"a.mp3": b"x", "README.md": b"none"}}
    with serving(datasets, monkeypatch, str(folder / "cache")) as served:
        yield served


def test_a_row_of_parquet_refers_to_its_file_row_group_and_row(folder: Path) -> None:
    speakers = ["ana", "bo", "ana", "bo", "ana", "bo"]
    parquet(folder / "corpus/data/train-00000-of-00001.parquet", dataset(speaker_id=speakers), batch_size=4)
    parquet(folder / "corpus/data/test-00000-of-00001.parquet", dataset(10, speaker_id=speakers))
    rows = used("corpus")
    file = "corpus/data/train-00000-of-00001.parquet"
    assert len(rows) == 2 * N_ROWS and rows[-1].source_bytes > 0
    assert rows[-1] == Utterance(
        "data/train-00000-of-00001.parquet:5",
        f"{file}#block=1&column=audio",
        "Text 5.",
        "en",
        "train",
        speaker="bo",
        source_bytes=rows[-1].source_bytes,
        row=1,
    )
    assert {row.split for row in rows[:N_ROWS]} == {"test"}


@pytest.mark.parametrize("written", ["to_parquet", "save_to_disk", "save_to_disk, one split"])
def test_what_datasets_has_written_comes_back_byte_by_byte(folder: Path, written: str) -> None:
    if written == "to_parquet":
        parquet(folder / "corpus/train.parquet", batch_size=4)
    elif written == "save_to_disk":
        DatasetDict(train=dataset()).save_to_disk(folder / "corpus")
    else:
        dataset().save_to_disk(folder / "corpus")
    rows = used("corpus")
    assert embedded(rows) == [wav(n) for n in range(N_ROWS)]
    assert [row.text for row in rows] == [f"Text {n}." for n in range(N_ROWS)]


def test_recordings_that_parquet_only_names_are_read_as_files(folder: Path) -> None:
    for n in range(3):
        (folder / f"{n}.wav").write_bytes(wav(n))
    named = {"audio": [f"{n}.wav" for n in range(3)], "text": ["a", "b", "c"]}
    parquet(folder / "corpus/train.parquet", Dataset.from_dict(named).cast_column("audio", Audio()))
    (folder / "2.wav").unlink()
    rows = utterances("corpus")
    assert [getattr(row, "audio", None) for row in rows] == ["0.wav", "1.wav", None]
    assert [getattr(row, "row", None) for row in rows] == [None] * 3
    assert isinstance(rows[2], Rejected) and rows[2].reason == "missing audio"
    listed = dict(huggingface.listing(data("corpus")))
    assert (
        listed.keys() == {"corpus/train.parquet", "0.wav", "1.wav", "corpus/2.wav"}
        and listed["corpus/2.wav"] == "missing"
    )


def test_the_features_are_those_of_the_clips(folder: Path, scratch: Path) -> None:
    parquet(folder / "corpus/train.parquet", batch_size=4)
    made = list(examples(used("corpus"), params.Audio(), params.Text(), Labeller(scratch)))
    for n, row in enumerate(made):
        assert not isinstance(row, Rejected)
        np.testing.assert_allclose(row["log_mel"], log_mel(decoded(io.BytesIO(wav(n)))), atol=1e-6)


def test_rows_without_audio_and_rows_that_are_none_are_rejected_and_the_rest_goes_on(
    folder: Path, scratch: Path
) -> None:
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    cells = [{"bytes": wav(0), "path": None}, None, {"bytes": None, "path": "gone.wav"}, {"bytes": b"x", "path": None}]
    table = pa.table({"audio": pa.array([*cells, cells[0]], kind), "text": list("abcde")})
    (folder / "corpus").mkdir()
    pq.write_table(table, folder / "corpus/train.parquet")
    made = list(examples(used("corpus"), params.Audio(), params.Text(), Labeller(scratch)))
    reasons = [row.reason if isinstance(row, Rejected) else None for row in made]
    assert reasons == [None, "missing audio", "missing audio", "undecodable audio", None]


def test_a_file_that_is_cut_after_prepare_is_rejected_row_by_row(folder: Path, scratch: Path) -> None:
    path = parquet(folder / "corpus/train.parquet")
    rows = used("corpus")
    path.write_bytes(path.read_bytes()[:20_000])
    made = list(examples(rows, params.Audio(), params.Text(), Labeller(scratch)))
    assert [row.reason for row in made if isinstance(row, Rejected)] == ["undecodable audio"] * N_ROWS


def test_ids_are_the_column_of_that_name_where_no_value_is_there_twice(folder: Path) -> None:
    parquet(folder / "a/train.parquet", dataset(id=list("uvwxyz")))
    parquet(folder / "b/train.parquet", dataset(id=list("uvwxyu")))
    assert [row.id for row in used("a")] == list("uvwxyz")
    assert [row.id for row in used("b")] == [f"train.parquet:{n}" for n in range(N_ROWS)]
    assert [row.id for row in used("b", columns={"id": "id"})] == list("uvwxyu")


def test_a_dataset_of_train_alone_is_left_to_be_cut(folder: Path) -> None:
    parquet(folder / "corpus/train.parquet")
    assert {row.split for row in used("corpus")} == {None}
    assert {row.split for row in used("corpus", splits={"train": "train"})} == {"train"}


def test_splits_of_other_names_are_chosen(folder: Path) -> None:
    for name in ("clean", "noisy", "heard"):
        parquet(folder / f"corpus/data/{name}-00000-of-00001.parquet")
    rows = used("corpus", splits={"train": ["clean", "noisy"], "test": "heard"})
    assert [row.split for row in rows] == ["train"] * 2 * N_ROWS + ["test"] * N_ROWS
    with pytest.raises(UserError, match=r"clean, heard, noisy, none of which is train.*splits: {train: clean}"):
        utterances("corpus")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"columns": {"text": "sentense"}}, r"no column 'sentense', but 'audio', 'text'.*columns: {text: "),
        ({"columns": {"audio": "text"}}, None),
        ({"columns": {"words": "text"}}, r"columns: words: unknown; ours are audio text"),
        ({"splits": {"test": "tset"}}, r"splits\.test: corpus has no split 'tset', but train"),
        ({"config": "de"}, r"config: there is no 'de'"),
        ({"revision": "main"}, r"revision: corpus is a directory"),
    ],
)
def test_what_is_not_there_is_named_with_what_is(folder: Path, fields: dict[str, Any], message: str | None) -> None:
    parquet(folder / "corpus/train.parquet")
    if message is None:
        assert {row.reason for row in utterances("corpus", **fields) if isinstance(row, Rejected)} == {"missing audio"}
        return
    with pytest.raises(UserError, match=message):
        utterances("corpus", **fields)


def test_a_column_of_samples_is_no_audio(folder: Path) -> None:
    (folder / "corpus").mkdir()
    pq.write_table(pa.table({"audio": [[0.1, 0.2]], "text": ["a"]}), folder / "corpus/train.parquet")
    with pytest.raises(UserError, match=r"'audio' is list<.*cast it to Audio\(\)"):
        utterances("corpus")


@pytest.mark.parametrize("n_bytes", [0, 3, 30_000])
def test_a_truncated_file_is_named(folder: Path, n_bytes: int) -> None:
    path = parquet(folder / "corpus/train.parquet")
    path.write_bytes(path.read_bytes()[:n_bytes])
    with pytest.raises(UserError, match=r"corpus/train\.parquet cannot be read: .*; fetch it again"):
        utterances("corpus")


def test_a_folder_of_other_files_says_what_would_fit(folder: Path) -> None:
    (folder / "corpus").mkdir()
    (folder / "corpus/a.wav").touch()
    with pytest.raises(UserError, match=r"corpus has no Parquet, but \.wav; use the data\.source that fits"):
        utterances("corpus")


def test_a_replaced_file_is_noticed(folder: Path) -> None:
    path = parquet(folder / "corpus/train.parquet")
    before = list(huggingface.listing(data("corpus")))
    assert [name for name, _ in before] == ["corpus/train.parquet"]
    parquet(path, dataset(10, speaker=list("aabbcc")))
    assert list(huggingface.listing(data("corpus"))) != before


def test_a_dataset_of_the_hub_is_fetched_once_and_only_what_is_chosen(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = used("a/speech", config="es")
    assert embedded(rows) == [wav(n) for n in (*range(6), *range(10, 16))]
    assert {row.split for row in rows} == {"train", "test"}
    assert not [name for name in hub.asked if name.startswith("de/")]
    listed = list(huggingface.listing(data("a/speech", config="es")))
    assert sorted(listed) == [(f"es/{split}-00000-of-00001.parquet", COMMIT) for split in ("test", "train")]
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # the hub is gone
    assert used("a/speech", config="es") == rows
    assert list(huggingface.listing(data("a/speech", config="es"))) == listed


def test_a_part_of_a_dataset_is_not_taken_for_the_whole_when_the_hub_is_gone(
    hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = hub.datasets["a/speech"]["de/train-00000-of-00001.parquet"]
    hub.datasets["a/parts"] = {f"data/train-{n:05d}-of-00002.parquet": content for n in range(2)}
    assert len(used("a/parts")) == 2 * N_ROWS
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert len(used("a/parts")) == 2 * N_ROWS
    next((folder / "cache").rglob("train-00001-of-00002.parquet")).unlink()
    with pytest.raises(UserError, match="out of reach, and only a part is in its cache"):
        utterances("a/parts")


def test_rows_of_the_hub_are_streamed_without_their_audio_until_they_are_wanted(hub: Hub, folder: Path) -> None:
    rows = used("a/speech", config="de", stream=True)
    assert rows[0].audio.startswith(f"hf://datasets/a/speech@{COMMIT}/de/")
    assert embedded(rows) == [wav(n) for n in (*range(6), *range(10, 16))]
    assert not list((folder / "cache").rglob("*.parquet"))


def test_another_commit_of_the_hub_is_noticed(hub: Hub) -> None:
    before = list(huggingface.listing(data("a/speech", config="de")))
    hub.commit = COMMIT[::-1]
    after = list(huggingface.listing(data("a/speech", config="de")))
    assert [name for name, _ in after] == [name for name, _ in before]
    assert not set(after) & set(before)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"path": "a/speach"}, r"a/speach: unknown to http.*no directory here"),
        ({"path": "a/speech"}, r"config: there are several, name one: de, es"),
        ({"path": "a/speech", "config": "fr"}, r"config: there is no 'fr', but de, es"),
        ({"path": "a/speech", "config": "de", "revision": "v9"}, r"revision v9: http.* has none of a/speech"),
        ({"path": "a/recordings"}, r"no Parquet, but \.mp3.*refs/convert/parquet"),
        ({"path": "/no/such folder"}, r"there is no directory /no/such folder"),
    ],
)
def test_what_the_hub_does_not_have_is_named(hub: Hub, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        utterances(**fields)


def test_a_hub_that_is_out_of_reach_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder / "cache"))
    with pytest.raises(UserError, match="a/speech, and the hub is out of reach"):
        utterances("a/speech")


def test_a_row_group_of_any_size_is_read_in_little_memory(folder: Path) -> None:
    n_rows, row_bytes = 300, 10**6
    cells = pa.array([np.random.default_rng(n).bytes(row_bytes) for n in range(n_rows)], pa.binary())
    (folder / "corpus").mkdir()
    rows = pa.table({"audio": cells, "text": ["a"] * n_rows})
    # With pages as `datasets` writes them, which cannot be read in part.
    pq.write_table(rows, folder / "corpus/train.parquet", use_content_defined_chunking=True, use_dictionary=False)
    code = (
        "import resource\nfrom asr.clips.ahead import Cells\nfrom asr.utterances import Block\n"
        "block = str(Block('corpus/train.parquet', 0, 'audio'))\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        f"with Cells() as cells:\n    print(sum(len(cells.open_read(block, n).read()) for n in range({n_rows})))\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1000)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    read_bytes, more_mb = map(int, done.stdout.split())
    assert read_bytes == n_rows * row_bytes
    assert more_mb < 150
