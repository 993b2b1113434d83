"""What holds for every layout that is read through data.path."""

import codecs
import os
import shutil
import tarfile
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from asr import params
from asr.corpora import corpus
from asr.corpora.rejects import read_rejects
from asr.errors import UserError
from asr.sources import source
from asr.utterances import SPLITS, Rejected, Utterance
from tests.sources.layouts import CORPUS, LAYOUTS, written

each_layout = pytest.mark.parametrize("name", LAYOUTS)
NO_SPLITS = {"ljspeech"}
NO_SPEAKERS = {"ljspeech"}
TEXTS = (".tsv", ".csv", ".json", ".txt", ".srt", ".scp", "text", "utt2spk", "utt2lang")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def data(name: str, path: Any = "in", **fields: Any) -> params.Data:
    return params.Data(**{"source": name, "path": path, "language": "it"} | fields)


def read(name: str, path: Any = "in", **fields: Any) -> list[Utterance | Rejected]:
    return list(source(name).utterances(data(name, path, **fields), Path("data/corpus")))


def rows(name: str, path: Any = "in", **fields: Any) -> list[Utterance]:
    """All of them, none rejected."""
    found = read(name, path, **fields)
    assert [row for row in found if isinstance(row, Rejected)] == []
    return [row for row in found if isinstance(row, Utterance)]


def listed(name: str) -> list[tuple[str, str]]:
    return sorted(source(name).listing(data(name)))


def texts_of(root: Path) -> list[Path]:
    found = [path for path in root.rglob("*") if path.name.endswith(TEXTS)]
    assert found or list(root.rglob("*.jsonl.gz"))
    return found


@each_layout
def test_every_clip_is_found_with_its_text_split_speaker_language_and_bytes(name: str) -> None:
    LAYOUTS[name](Path("in"))
    found = rows(name)
    assert sorted((row.text, row.split) for row in found) == sorted(
        (written(name, said.text), None if name in NO_SPLITS else said.split) for said in CORPUS
    )
    assert {row.language for row in found} == {"zh" if name == "aishell" else "it"}
    assert all(Path(row.audio).is_file() and row.source_bytes > 1000 for row in found)
    assert all((row.speaker is None) == (name in NO_SPEAKERS or name == "fleurs") for row in found)


@each_layout
def test_ids_are_unique_and_the_same_wherever_the_corpus_lies(name: str) -> None:
    LAYOUTS[name](Path("in"))
    ids = [row.id for row in rows(name)]
    assert len({*ids}) == len(CORPUS)
    shutil.move("in", "elsewhere")
    shutil.rmtree("data", ignore_errors=True)
    assert [row.id for row in rows(name, "elsewhere")] == ids


@pytest.mark.parametrize("name", ["ljspeech", "audiofolder", "nemo", "subtitles"])  # others have ids of their own
def test_two_corpora_of_a_layout_have_no_id_in_common(name: str) -> None:
    LAYOUTS[name](Path("one/in"))
    LAYOUTS[name](Path("two/in"))
    found = rows(name, ["one/in", "two/in"])
    assert len({row.id for row in found}) == len(found) == 2 * len(CORPUS)


@each_layout
def test_a_split_that_the_path_names_is_that_of_all_its_rows(name: str) -> None:
    LAYOUTS[name](Path("in"))
    assert {row.split for row in rows(name, {"test": "in"})} == {"test"}


@each_layout
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "crlf", "blank lines"])
def test_encodings_with_a_mark_and_line_ends_do_not_matter(name: str, encoding: str) -> None:
    LAYOUTS[name](Path("in"))
    before = rows(name)
    for path in texts_of(Path("in")):
        content = path.read_text(encoding="utf-8")
        if encoding in ("crlf", "blank lines"):
            blank = "\n\n" if encoding == "blank lines" and path.suffix != ".srt" else "\r\n"
            path.write_bytes(content.replace("\n", blank).encode())
        else:
            path.write_text(content, encoding=encoding)
    assert rows(name) == before


@pytest.mark.parametrize("name", [name for name in LAYOUTS if name != "lhotse"])  # which writes its files itself
def test_text_in_latin_1_is_rejected_row_by_row(name: str) -> None:
    LAYOUTS[name](Path("in"))
    for path in texts_of(Path("in")):
        path.write_bytes(path.read_text(encoding="utf-8").encode("latin-1", errors="replace"))
    with pytest.raises(UserError, match=r"all 6 rows of data\.source \w+ were rejected: undecodable text"):
        corpus.write(source(name).utterances(data(name), Path("data/corpus")), Path("manifest"), data(name))


@each_layout
def test_the_listing_notices_a_replaced_recording_and_a_changed_text_and_nothing_else(name: str) -> None:
    LAYOUTS[name](Path("in"))
    before = listed(name)
    assert listed(name) == before and before
    audio = sorted(path for path in Path("in").rglob("*") if path.suffix in {".wav", ".mp3", ".flac", ".gz"})
    os.utime(audio[0], ns=(1, 1))
    replaced = listed(name)
    assert replaced != before
    text = next(iter(texts_of(Path("in"))), None) or next(Path("in").rglob("*supervisions*"))
    os.utime(text, ns=(1, 1))
    assert listed(name) != replaced


@each_layout
def test_a_clip_that_is_not_there_is_rejected(name: str) -> None:
    LAYOUTS[name](Path("in"))
    if name == "fleurs":
        read(name)  # which unpacks
        shutil.copytree("data/corpus/it_it", "in/it_it/audio", dirs_exist_ok=True)
    gone = next(path for path in sorted(Path("in").rglob("*")) if path.suffix in {".wav", ".mp3", ".flac"})
    gone.unlink()
    found = read(name)
    assert {row.reason for row in found if isinstance(row, Rejected)} == {"missing audio"}
    assert sum(isinstance(row, Utterance) for row in found) == len(CORPUS) - (2 if name == "subtitles" else 1)


@each_layout
def test_a_place_that_is_not_there_is_named(name: str) -> None:
    with pytest.raises(UserError, match=r"data\.path: there is no nowhere"):
        read(name, "nowhere")


@each_layout
def test_an_object_store_is_refused_with_what_reads_it(name: str) -> None:
    with pytest.raises(UserError, match=r"in an object store.*use data\.source: table"):
        read(name, "s3://bucket/corpus")


@each_layout
def test_an_empty_folder_is_told_what_was_looked_for(name: str) -> None:
    Path("in").mkdir()
    with pytest.raises(UserError, match=rf"data\.path: in in is no .*, as data\.source {name} needs, nor any other"):
        read(name)


@pytest.mark.parametrize(("name", "other"), permutations(LAYOUTS, 2))
def test_another_layout_is_told_the_source_that_reads_it(name: str, other: str) -> None:
    LAYOUTS[other](Path("in"))
    with pytest.raises(UserError, match=rf"as data\.source {name} needs, but .*; data\.source: {other} reads that"):
        read(name)


@pytest.mark.parametrize("name", [name for name in LAYOUTS if name != "common_voice"])
def test_an_archive_is_told_to_be_unpacked(name: str) -> None:
    LAYOUTS[name](Path("in"))
    with tarfile.open("in.tar.gz", "w:gz") as tar:
        tar.add("in")
    with pytest.raises(UserError, match=r"in\.tar\.gz is an archive; unpack it \(tar -xf in\.tar\.gz\)"):
        read(name, "in.tar.gz")


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("common_voice", "it/train.tsv"),
        ("ljspeech", "metadata.csv"),
        ("kaldi", "data/dev/wav.scp"),
        ("subtitles", "test/talk.srt"),
    ],
)
def test_a_file_of_the_layout_is_told_its_folder(name: str, file: str) -> None:
    LAYOUTS[name](Path("in"))
    with pytest.raises(UserError, match=rf"in/{file} is a file; data\.source {name} needs the folder of all: in"):
        read(name, f"in/{file}")


@each_layout
def test_a_manifest_is_made_of_it(name: str) -> None:
    LAYOUTS[name](Path("in"))
    choices = data(name, split=params.Split(validation=0.2, test=0.2))
    summary = corpus.write(source(name).utterances(choices, Path("data/corpus")), Path("manifest"), choices)
    assert summary.n_utterances == len(CORPUS) and read_rejects(Path("manifest")) == []
    assert {split for _, split in summary.counts} == {*SPLITS}


@pytest.mark.parametrize("path", [5, [], [1], {"dev": "in"}, {"test": 5}, ""])
def test_a_path_that_is_none_is_one_line(path: Any) -> None:
    with pytest.raises(UserError) as caught:
        params.check({"data": {"source": "kaldi", "path": path}})
    assert len(str(caught.value).splitlines()) == 1 and "data.path" in str(caught.value)


def test_a_layout_without_a_path_is_one_line() -> None:
    with pytest.raises(UserError, match=r"data: data\.source is fleurs, so data\.path must name where the corpus lies"):
        params.check({"data": {"source": "fleurs"}})


def test_a_language_that_whisper_does_not_know_is_rejected_until_another_stands_for_it() -> None:
    LAYOUTS["common_voice"](Path("in"))
    Path("in/it").rename("in/ga-IE")
    for path in Path("in").rglob("*.tsv"):
        path.write_text(path.read_text().replace("\tit\t", "\tga-IE\t"))
    found = read("common_voice")
    assert {row.reason for row in found if isinstance(row, Rejected)} == {"unknown language"}
    assert "set data.languages: {ga-IE: " in found[0].detail  # type: ignore[union-attr]
    assert {row.language for row in rows("common_voice", languages={"ga-IE": "cy"})} == {"cy"}


def test_another_language_may_stand_for_that_of_rows_which_name_none() -> None:
    LAYOUTS["ljspeech"](Path("in"))
    assert {row.language for row in rows("ljspeech", language="ga", languages={"ga": "cy"})} == {"cy"}


def test_the_mark_of_utf_8_is_no_part_of_the_first_name() -> None:
    LAYOUTS["kaldi"](Path("in"))
    path = Path("in/data/train/text")
    path.write_bytes(codecs.BOM_UTF8 + path.read_bytes())
    assert "tr0-utt" in {row.id for row in rows("kaldi")}
