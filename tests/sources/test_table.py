import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from asr import params
from asr.corpora import corpus, manifest
from asr.corpora.rejects import read_rejects
from asr.errors import UserError
from asr.sources import table
from asr.utterances import Rejected, Utterance
from tests.tables import as_csv, as_jsonl, as_parquet, as_tsv, data, read, reasons, written

pytest_plugins = ["tests.emulators"]


def test_a_row_becomes_an_utterance(folder: Path) -> None:
    path = written("id,audio,text,language,speaker,split,start_s,end_s\nx1,clips/a.wav,Hola.,es-MX,ana,dev,0.5,2\n")
    size = (folder / "corpus/clips/a.wav").stat().st_size
    assert read(path) == [
        Utterance("x1", "corpus/clips/a.wav", "Hola.", "es", "validation", "ana", 0.5, 1.5, size, True)
    ]


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


def test_a_language_that_whisper_does_not_know_is_hinted_at_and_taken_for_what_is_declared(folder: Path) -> None:
    path = written("audio,text,language\nclips/a.wav,x,ga-IE\n")
    (row,) = read(path)
    assert isinstance(row, Rejected) and row.detail.endswith("set data.languages: {ga-IE: cy} (Welsh: Celtic)")
    data = params.Data(source="table", languages={"ga-IE": "cy"}, table=params.Table(path=path))
    (row,) = table.utterances(data, Path("unused"))
    assert isinstance(row, Utterance) and row.language == "cy"


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
