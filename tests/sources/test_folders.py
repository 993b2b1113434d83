"""LibriSpeech, LJ Speech and audiofolders: what is particular to each."""

from pathlib import Path
from typing import Any

import pytest

from asr import params
from asr.errors import UserError
from asr.sources import source
from asr.utterances import Rejected, Utterance
from tests.sources import layouts
from tests.sources.layouts import CORPUS, clip, jsonl, lines


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(name: str, path: Any = "in", **fields: Any) -> list[Utterance | Rejected]:
    return list(source(name).utterances(params.Data(source=name, path=path, **fields), Path("unused")))  # type: ignore[arg-type]


def test_a_line_of_librispeech_becomes_an_utterance() -> None:
    folder = Path("in/train-clean-100/19/198")
    audio = clip(folder / "19-198-0000.flac")
    lines(folder / "19-198.trans.txt", "19-198-0000 NORTHANGER ABBEY")
    size = audio.stat().st_size
    assert read("librispeech") == [
        Utterance("19-198-0000", str(audio), "NORTHANGER ABBEY", "en", "train", "19", source_bytes=size)
    ]


@pytest.mark.parametrize("path", ["in", "in/dev-clean", "in/dev-clean/1002"])
def test_the_split_of_librispeech_is_known_however_deep_the_path_begins(path: str) -> None:
    layouts.librispeech(Path("in"))
    splits = {Path(row.audio).parts[1]: row.split for row in read("librispeech", path) if isinstance(row, Utterance)}
    assert splits["dev-clean"] == "validation" and splits.get("train-clean-100", "train") == "train"


def test_the_text_of_ljspeech_is_the_second_column_or_the_third() -> None:
    clip(Path("in/wavs/LJ001-0001.wav"))
    lines(Path("in/metadata.csv"), 'LJ001-0001|"In 1465," he said|"In fourteen sixty-five," he said')
    (written,), (normalised,) = read("ljspeech"), read("ljspeech", normalized=True)
    assert isinstance(written, Utterance) and isinstance(normalised, Utterance)
    assert (written.id, written.text) == ("LJ001-0001", '"In 1465," he said')
    assert normalised.text == '"In fourteen sixty-five," he said'


def test_a_corpus_of_two_columns_has_one_text_and_other_lines_are_rejected() -> None:
    clip(Path("in/wavs/a.wav"))
    lines(Path("in/metadata.csv"), "a|Ciao", "b|one|two|three", "c")
    first, *others = read("ljspeech", normalized=True)
    assert isinstance(first, Utterance) and first.text == "Ciao"
    assert [(row.id, row.reason) for row in others if isinstance(row, Rejected)] == [
        ("metadata.csv:2", "bad row"),
        ("metadata.csv:3", "bad row"),
    ]


def test_a_row_of_an_audiofolder_becomes_an_utterance() -> None:
    audio = clip(Path("in/data/test/a.wav"))
    lines(Path("in/metadata.csv"), "file_name,transcription,locale", 'data/test/a.wav,"Ciao, ""Ana""",it')
    size = audio.stat().st_size
    assert read("audiofolder") == [
        Utterance("data/test/a.wav", str(audio), 'Ciao, "Ana"', "it", "test", source_bytes=size)
    ]


def test_metadata_may_be_jsonl_with_a_column_split() -> None:
    clip(Path("in/a.wav"))
    jsonl(Path("in/metadata.jsonl"), [{"file_name": "a.wav", "text": "Ciao", "split": "dev", "speaker": 3}, {"x": 1}])
    first, second = read("audiofolder")
    assert isinstance(first, Utterance) and (first.split, first.speaker, first.text) == ("validation", "3", "Ciao")
    assert isinstance(second, Rejected) and (second.id, second.reason) == ("metadata.jsonl:2", "missing audio")


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("file_name,words", "has no column transcription or text or sentence or transcript, but file_name, words"),
        ("file_name,text,sentence", "has columns text and sentence, which both may be the text"),
        ("file_name,text,text", "has more than one column 'text'"),
    ],
)
def test_a_text_column_that_is_missing_or_doubled_is_named(header: str, said: str) -> None:
    lines(Path("in/metadata.csv"), header, ",".join("a" for _ in header.split(",")))
    with pytest.raises(UserError, match=rf"in/metadata\.csv {said}"):
        read("audiofolder")


def test_cells_may_hold_line_breaks_and_a_quote_that_never_closes_is_one_line() -> None:
    clip(Path("in/a.wav"))
    lines(Path("in/metadata.csv"), "file_name,text", 'a.wav,"one', 'two"')
    assert [row.text for row in read("audiofolder") if isinstance(row, Utterance)] == ["one\ntwo"]
    lines(Path("in/metadata.csv"), "file_name,text", 'a.wav,"' + "x" * 200_000)
    with pytest.raises(UserError, match=r"metadata\.csv, line 2: .*; is a quote never closed\?"):
        read("audiofolder")


def test_a_row_with_a_cell_too_many_is_rejected_with_its_line() -> None:
    layouts.audiofolder(Path("in"))
    with Path("in/train/metadata.csv").open("a") as file:
        file.write("0.wav,a,b,c\n\n")
    bad = [row for row in read("audiofolder") if isinstance(row, Rejected)]
    assert [(row.id, row.reason) for row in bad] == [("metadata.csv:4", "bad row")]
    assert len(read("audiofolder")) == len(CORPUS) + 1


def test_a_file_elsewhere_is_read_by_its_path(folder: Path) -> None:
    clip(Path("elsewhere/a.wav"))
    lines(Path("in/metadata.csv"), "file_name,text", "../elsewhere/a.wav,one", f"{folder}/elsewhere/a.wav,two")
    assert [row.audio for row in read("audiofolder") if isinstance(row, Utterance)] == ["elsewhere/a.wav"] * 2
