"""asr/sources/table.py: tables and audio on object stores."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from asr import storage
from asr.errors import UserError
from asr.sources import table
from asr.utterances import Rejected, Utterance
from tests.tables import as_csv, as_jsonl, as_parquet, as_tsv, data, read, reasons, written

pytest_plugins = ["tests.emulators"]


@pytest.fixture
def prefix(folder: Path, store: str) -> str:
    """The recordings of `folder` in an object store, below a prefix."""
    for path in (folder / "corpus/clips").iterdir():
        storage.put_bytes(path.read_bytes(), f"{store}/corpus/clips/{path.name}")
    return store


@pytest.mark.parametrize("write", [as_csv, as_tsv, as_jsonl, as_parquet])
def test_a_table_in_a_store_finds_its_audio_beside_it(
    folder: Path, prefix: str, write: Callable[[list[dict[str, str]]], str]
) -> None:
    local = Path(write([{"audio": "clips/a.wav", "text": "größer"}, {"audio": "clips/none.wav", "text": "x"}]))
    storage.put_bytes(local.read_bytes(), uri := f"{prefix}/{local}")
    size = (folder / "corpus/clips/a.wav").stat().st_size
    audio = f"{prefix}/corpus/clips"
    assert read(uri) == [
        Utterance("clips/a.wav", f"{audio}/a.wav", "größer", "en", source_bytes=size),
        Rejected("clips/none.wav", "missing audio", f"{audio}/none.wav: there is no such object"),
    ]


def test_a_table_here_may_name_objects_and_files_side_by_side(folder: Path, prefix: str) -> None:
    path = written(f"audio,text\n{prefix}/corpus/clips/a.wav,x\nclips/b.wav,y\n{folder}/corpus/clips/c.wav,z\n")
    rows = [row for row in read(path) if isinstance(row, Utterance)]
    assert [row.audio for row in rows] == [f"{prefix}/corpus/clips/a.wav", "corpus/clips/b.wav", "corpus/clips/c.wav"]
    assert [row.source_bytes for row in rows] == [
        (folder / f"corpus/clips/{name}.wav").stat().st_size for name in "abc"
    ]


def test_nothing_outside_a_root_in_a_store_is_read(folder: Path, prefix: str) -> None:
    for name in ("secret.wav", "corpus/clips2/a.wav"):
        storage.put_bytes(b"x", f"{prefix}/{name}")
    cells = {
        "a.wav": None,
        "./a.wav": None,
        f"{prefix}/corpus/clips/a.wav": None,
        "../../secret.wav": "outside audio_root",
        "../clips2/a.wav": "outside audio_root",
        f"{prefix}/corpus/clips2/a.wav": "outside audio_root",
        f"{prefix}/corpus/clips/../../secret.wav": "outside audio_root",
        "gs://other/corpus/clips/a.wav": "outside audio_root",
        f"{folder}/corpus/clips/a.wav": "outside audio_root",
        "https://example.org/a.wav": "outside audio_root",
        "": "missing audio",
    }
    path = written("\n".join(json.dumps({"audio": cell, "text": "x"}) for cell in cells), "corpus/t.jsonl")
    assert reasons(path, audio_root=f"{prefix}/corpus/clips/") == list(cells.values())


def test_a_root_here_refuses_uris(folder: Path) -> None:
    path = written("audio,text\ngs://corpora/a.wav,x\nfile:///etc/passwd,x\na.wav,x\n")
    assert reasons(path, audio_root="corpus/clips") == ["outside audio_root"] * 2 + [None]


@pytest.mark.parametrize("scheme", ["http", "https", "file", "ftp", "S3", "gcs"])
def test_a_scheme_that_is_not_read_is_rejected_with_those_that_are(folder: Path, scheme: str) -> None:
    (row,) = read(written(f"audio,text\n{scheme}://host/a.wav,x\n"))
    detail = f"{scheme}://host/a.wav: a recording has a path, or a URI of gs:// and s3://"
    assert row == Rejected(f"{scheme}://host/a.wav", "unknown scheme", detail)


def test_a_colon_alone_makes_no_uri(folder: Path) -> None:
    (folder / "corpus/clips/a.wav").rename(folder / "corpus/clips/a:b.wav")
    (row,) = read(written("audio,text\nclips/a:b.wav,x\n"))
    assert isinstance(row, Utterance) and row.audio == "corpus/clips/a:b.wav"


def test_dots_stay_in_the_bucket(gs: str) -> None:
    bucket = gs.rpartition("/")[0]
    assert table.AudioFolder(gs, is_root=False).locate("../../../x/./y//a.wav") == f"{bucket}/x/y//a.wav"


def test_the_listing_notices_a_replaced_object_and_a_replaced_table(prefix: str) -> None:
    storage.put_bytes(b"audio,text\nclips/a.wav,x\nclips/b.wav,y\nclips/none.wav,z\n", uri := f"{prefix}/corpus/t.csv")

    def changed() -> list[str]:
        after = dict(table.listing(data(uri)))
        names = [name.removeprefix(f"{prefix}/corpus/") for name in after if after[name] != before[name]]
        before.update(after)
        return names

    before = dict(table.listing(data(uri)))
    assert before[f"{prefix}/corpus/clips/none.wav"] == "missing" and changed() == []
    storage.put_bytes(b"other", f"{prefix}/corpus/clips/a.wav")
    assert changed() == ["clips/a.wav"]
    storage.put_bytes(storage.read_bytes(uri).replace(b",x", b",w"), uri)
    assert changed() == ["t.csv"]


def test_a_table_or_a_root_that_is_not_in_the_store_is_an_error_with_the_remedy(prefix: str) -> None:
    with pytest.raises(UserError, match=rf"data\.table\.path: there is no file {prefix}/none\.csv; give the path"):
        read(f"{prefix}/none.csv")
    path = written("audio,text\na.wav,x\n")
    with pytest.raises(UserError, match=rf"data\.table\.audio_root: there is no directory {prefix}/none; give"):
        read(path, audio_root=f"{prefix}/none")
