import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile

from asr import params, storage
from asr.corpora import corpus, manifest
from asr.corpora.rejects import read_rejects
from asr.errors import UserError
from asr.sources import table
from asr.utterances import Rejected, Utterance

pytest_plugins = ["tests.emulators"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's folder, with four recordings in `corpus/clips`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "corpus/clips").mkdir(parents=True)
    for n, name in enumerate("abcd", 1):
        soundfile.write(tmp_path / f"corpus/clips/{name}.wav", np.zeros(1600 * n), 16_000)
    return tmp_path


def written(content: str | bytes, name: str = "corpus/t.csv") -> str:
    Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return name


def data(path: str, **fields: Any) -> params.Data:
    return params.Data(source="table", table=params.Table(path=path, **fields))


def read(path: str, **fields: Any) -> list[Utterance | Rejected]:
    return list(table.utterances(data(path, **fields), Path("unused")))


def reasons(path: str, **fields: Any) -> list[str | None]:
    return [row.reason if isinstance(row, Rejected) else None for row in read(path, **fields)]


def test_a_row_becomes_an_utterance(folder: Path) -> None:
    path = written("id,audio,text,language,speaker,split,start_s,end_s\nx1,clips/a.wav,Hola.,es-MX,ana,dev,0.5,2\n")
    size = (folder / "corpus/clips/a.wav").stat().st_size
    assert read(path) == [
        Utterance("x1", "corpus/clips/a.wav", "Hola.", "es", "validation", "ana", 0.5, 1.5, size, True)
    ]


def as_csv(rows: list[dict[str, str]]) -> str:
    quoted = [",".join('"' + cell.replace('"', '""') + '"' for cell in row.values()) for row in rows]
    return written("\ufeff" + "\n".join([",".join(rows[0]), *quoted]) + "\n")


def as_tsv(rows: list[dict[str, str]]) -> str:
    return written(
        "\n".join("\t".join(cells) for cells in [list(rows[0]), *map(dict.values, rows)]) + "\n", "corpus/t.tsv"
    )


def as_jsonl(rows: list[dict[str, str]]) -> str:
    return written("\n".join(map(json.dumps, rows)), "corpus/t.jsonl")


def as_parquet(rows: list[dict[str, str]]) -> str:
    pq.write_table(pa.Table.from_pylist(rows), "corpus/t.parquet")
    return "corpus/t.parquet"


@pytest.mark.parametrize("write", [as_csv, as_tsv, as_jsonl, as_parquet])
def test_every_kind_of_table_gives_the_same_utterances(
    folder: Path, write: Callable[[list[dict[str, str]]], str]
) -> None:
    rows = [
        {"audio": "clips/a.wav", "text": 'Sie sagte: "Ja, größer" – नमस्ते'},
        {"audio": "clips/b.wav", "text": '"Open quote'},
    ]
    found = read(write(rows))
    assert [(row.id, row.text) for row in found if isinstance(row, Utterance)] == [
        (row["audio"], row["text"]) for row in rows
    ]


def test_a_csv_cell_may_hold_a_line_break(folder: Path) -> None:
    (row,) = read(written('audio,text\r\nclips/a.wav,"one\r\ntwo"\r\n'))
    assert isinstance(row, Utterance) and row.text == "one\r\ntwo"


def test_a_tsv_of_pandas_with_doubled_quotes_is_read_as_meant(folder: Path) -> None:
    (row,) = read(written('audio\ttext\nclips/a.wav\t"""Ja"" sagte sie"\n', "corpus/t.tsv"))
    assert isinstance(row, Utterance) and row.text == '"Ja" sagte sie'


def test_numbers_and_empty_cells_of_typed_tables_are_read(folder: Path) -> None:
    columns = {"audio": ["clips/a.wav", "clips/b.wav"], "text": ["a", "b"], "id": [7.0, None], "start_s": [None, 0.25]}
    pq.write_table(pa.table(columns), "corpus/t.parquet")
    first, second = read("corpus/t.parquet")
    assert isinstance(second, Utterance)
    assert (first.id, second.id, second.start_s) == ("7", "clips/b.wav@0.25", 0.25)


def test_columns_of_other_names_are_found(folder: Path) -> None:
    path = written("path,sentence,client_id\nclips/a.wav,Hi,s1\n")
    (row,) = read(path, columns={"audio": "path", "text": "sentence", "speaker": "client_id"})
    assert isinstance(row, Utterance) and (row.text, row.speaker) == ("Hi", "s1")


def test_ids_do_not_change_when_a_row_is_added(folder: Path) -> None:
    before = read(written("audio,text\nclips/a.wav,x\nclips/b.wav,y\n"))
    after = read(written("audio,text\nclips/c.wav,z\nclips/a.wav,x\nclips/b.wav,y\n"))
    assert after[1:] == before


def test_pieces_of_one_recording_share_its_bytes(folder: Path) -> None:
    rows = read(written("audio,text,start_s,end_s\nclips/a.wav,x,0,1\nclips/a.wav,y,1,2\nclips/b.wav,z,,\n"))
    sizes = [(folder / f"corpus/clips/{name}.wav").stat().st_size for name in "ab"]
    assert [row.source_bytes for row in rows if isinstance(row, Utterance)] == [sizes[0] // 2, sizes[0] // 2, sizes[1]]
    assert [row.id for row in rows] == ["clips/a.wav@0.0", "clips/a.wav@1.0", "clips/b.wav"]


@pytest.mark.parametrize(
    ("times", "timed"), [("0,1", True), ("0.5,0.75", True), (",1", False), ("0.5,", False), (",", False)]
)
def test_an_utterance_is_timed_where_both_ends_are_declared(folder: Path, times: str, timed: bool) -> None:
    (row,) = read(written(f"audio,text,start_s,end_s\nclips/a.wav,x,{times}\n"))
    assert isinstance(row, Utterance) and row.timed is timed


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("clips/none.wav,x,,,,", "missing audio"),
        ("clips,x,,,,", "missing audio"),
        (",x,,,,", "missing audio"),
        ("clips/a.wav,x,Klingon,,,", "unknown language"),
        ("clips/a.wav,x,Spanish,,,", None),
        ("clips/a.wav,x,,invalidated,,", "unknown split"),
        ("clips/a.wav,x,,,2,1", "bad times"),
        ("clips/a.wav,x,,,-1,1", "bad times"),
        ("clips/a.wav,x,,,nan,1", "bad times"),
        ("clips/a.wav,x,,,1e308,", "bad times"),
        ("clips/a.wav,x,,,0,1e308", "bad times"),
        ("clips/a.wav,x,,,zero,", "bad times"),
        ("clips/a.wav,x,,,1,", None),
        ("clips/a.wav,x", "bad row"),
    ],
)
def test_a_row_that_cannot_be_used_is_rejected(folder: Path, row: str, reason: str | None) -> None:
    assert reasons(written(f"audio,text,language,split,start_s,end_s\n{row}\n")) == [reason]


@pytest.mark.parametrize("line", ["{", "[1]", '{"audio": "clips/a.wav", "text": ["x"]}'])
def test_a_line_that_is_no_row_is_rejected_and_the_rest_goes_on(folder: Path, line: str) -> None:
    good = '{"audio": "clips/a.wav", "text": "x"}'
    assert reasons(written(f"{good}\n{line}\n{good}\n", "corpus/t.jsonl")) == [None, "bad row", None]


@pytest.mark.parametrize("name", ["corpus/t.csv", "corpus/t.tsv", "corpus/t.jsonl"])
def test_a_row_in_another_encoding_is_rejected_alone(folder: Path, name: str) -> None:
    texts = {"a": "caf\udce9", "b": "café", "c": "tea", "d": "milk"}
    rows = [{"audio": f"clips/{clip}.wav", "text": text} for clip, text in texts.items()]
    if name.endswith("jsonl"):
        content = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    else:
        mark = "\t" if name.endswith("tsv") else ","
        content = "\n".join(mark.join(cells) for cells in [["audio", "text"], *map(dict.values, rows)])
    path = written(content.encode(errors="surrogateescape"), name)
    corpus.write(table.utterances(data(path), folder), folder, data(path))
    assert [(row.id, row.reason) for row in read_rejects(folder)] == [("clips/a.wav", "undecodable text")]
    assert [row.text for row in manifest.read(folder)] == ["café", "tea", "milk"]


def test_parquet_with_bytes_that_are_not_utf8_is_read(folder: Path) -> None:
    text = pa.Array.from_buffers(pa.string(), 1, pa.array([b"caf\xe9"]).buffers())
    pq.write_table(pa.table({"audio": ["clips/a.wav"], "text": text}), "corpus/t.parquet")
    (row,) = read("corpus/t.parquet")
    assert isinstance(row, Utterance) and row.text == "caf\udce9"


def test_audio_lies_beside_the_table_or_under_the_root_or_anywhere_by_an_absolute_path(folder: Path) -> None:
    path = written(f"audio,text\n{folder}/corpus/clips/a.wav,x\n../corpus/clips/b.wav,y\n")
    assert [row.audio for row in read(path) if isinstance(row, Utterance)] == [
        "corpus/clips/a.wav",
        "corpus/clips/b.wav",
    ]
    path = written("audio,text\na.wav,x\n")
    (row,) = read(path, audio_root="corpus/clips")
    assert isinstance(row, Utterance) and row.audio == "corpus/clips/a.wav"


def test_audio_outside_the_project_keeps_its_absolute_path(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written("audio,text\nclips/a.wav,x\n")
    (folder / "project").mkdir()
    monkeypatch.chdir(folder / "project")
    (row,) = read("../corpus/t.csv")
    assert isinstance(row, Utterance) and row.audio == str(folder / "corpus/clips/a.wav")


def test_nothing_outside_the_root_is_read(folder: Path) -> None:
    (folder / "secret.wav").write_bytes(b"x")
    (folder / "corpus/clips/link.wav").symlink_to(folder / "secret.wav")
    path = written(
        f"audio,text\n../../secret.wav,x\n{folder}/secret.wav,x\nlink.wav,x\n{folder}/corpus/clips/a.wav,x\n"
    )
    assert reasons(path, audio_root="corpus/clips") == ["outside audio_root"] * 3 + [None]
    assert [name for name, _ in table.listing(data(path, audio_root="corpus/clips"))] == [
        "corpus/clips/a.wav",
        "corpus/t.csv",
    ]


@pytest.mark.parametrize(
    ("content", "fields", "message"),
    [
        (
            "audio,sentence\n",
            {},
            r"no column 'text', but 'audio', 'sentence'; set data\.table\.columns: {text: sentence}",
        ),
        ("audio,text\n", {"columns": {"text": "txt"}}, r"no column 'txt'.* {text: text}"),
        ("audio,text\n", {"columns": {"speaker": "who"}}, r"no column 'who'"),
        ("audio,text\n", {"columns": {"words": "text"}}, r"data\.table\.columns: words: unknown"),
        ("audio,text\n", {"audio_root": "nowhere"}, r"data\.table\.audio_root: there is no directory nowhere"),
        ("", {}, r"corpus/t\.csv cannot be read: Empty CSV"),
        ("audio,text\n".encode("utf-16"), {}, r"corpus/t\.csv cannot be read: .*utf-8"),
        ('audio,text\nclips/a.wav,"' + "x" * 3_000_000, {}, r"is a quote never closed"),
    ],
)
def test_a_table_that_cannot_be_used_is_an_error_with_the_remedy(
    folder: Path, content: str | bytes, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        read(written(content), **fields)


def test_a_missing_table_and_an_unknown_kind_are_errors(folder: Path) -> None:
    with pytest.raises(UserError, match=r"data\.table\.path: there is no file corpus/none\.csv"):
        read("corpus/none.csv")
    with pytest.raises(UserError, match=r"must end in one of \.csv \.tsv \.jsonl \.parquet"):
        read(written("x", "corpus/t.xlsx"))
    with pytest.raises(UserError, match=r"t\.parquet cannot be read"):
        read(written("not parquet", "corpus/t.parquet"))


def test_the_listing_changes_with_the_table_and_with_the_audio(folder: Path) -> None:
    path = written("audio,text\nclips/a.wav,x\nclips/none.wav,y\n")
    first = dict(table.listing(data(path)))
    assert first.keys() == {path, "corpus/clips/a.wav", "corpus/clips/none.wav"}
    assert first["corpus/clips/none.wav"] == "missing"
    assert dict(table.listing(data(path))) == first
    os.utime(folder / "corpus/clips/a.wav", ns=(0, 0))
    assert {name for name, version in table.listing(data(path)) if first[name] != version} == {"corpus/clips/a.wav"}
    written("audio,text\nclips/a.wav,x!\nclips/none.wav,y\n")
    assert dict(table.listing(data(path)))[path] != first[path]


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


def test_pieces_share_the_bytes_of_their_recording_wherever_they_stand(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = (folder / "corpus/clips/a.wav").stat().st_size
    rows = [Utterance(str(n), "corpus/clips/a.wav", "x", "en") for n in range(5)]
    lost = Utterance("lost", "corpus/clips/gone.wav", "x", "en")
    monkeypatch.setattr(table, "ROWS_AT_ONCE", 2)
    found = list(table.sized([*rows[:4], Rejected("bad", "bad row"), lost, rows[4]]))
    assert [row.source_bytes for row in found if isinstance(row, Utterance)] == [size // 5] * 5
    assert [row.id for row in found] == ["0", "1", "2", "3", "bad", "lost", "4"]
    assert [row.reason for row in found if isinstance(row, Rejected)] == ["bad row", "missing audio"]
