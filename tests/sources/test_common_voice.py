import io
import tarfile
from pathlib import Path
from typing import Any

import pytest

from asr import params
from asr.errors import UserError
from asr.sources import common_voice
from asr.utterances import Rejected, Utterance
from tests.sources import layouts
from tests.sources.layouts import CORPUS, lines

RELEASE = Path("cv-corpus-17.0-2024-03-15")
COLUMNS_11 = "client_id path sentence up_votes down_votes age gender accents locale segment"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(path: Any = str(RELEASE), **options: Any) -> list[Utterance | Rejected]:
    data = params.Data(source="common_voice", path=path, common_voice=params.CommonVoice(**options))
    return list(common_voice.utterances(data, Path("data/corpus")))


def reasons(**options: Any) -> list[str | None]:
    return [row.reason if isinstance(row, Rejected) else None for row in read(**options)]


def table(name: str, *rows: str, language: str = "it") -> None:
    lines(RELEASE / language / name, layouts.COLUMNS_17.replace(" ", "\t"), *rows)


def row(n: int, sentence: str = "Ciao.", up: int = 2, down: int = 0, sentence_id: str = "") -> str:
    name = f"common_voice_it_{100 + n}.mp3"
    cells = ("ana", name, sentence_id, sentence, "", str(up), str(down), "", "", "", "", "it", "")
    return "\t".join(cells)


def test_a_row_becomes_an_utterance() -> None:
    layouts.common_voice(RELEASE)
    audio = f"{RELEASE}/it/clips/common_voice_it_100.mp3"
    size = Path(audio).stat().st_size
    said = CORPUS[0]
    assert read()[0] == Utterance(
        "common_voice_it_100", audio, said.text, "it", "train", said.speaker, 0.0, 0.5, size, timed=False
    )


@pytest.mark.parametrize("columns", [layouts.COLUMNS_17, COLUMNS_11])
def test_releases_before_and_after_17_are_read(columns: str) -> None:
    layouts.common_voice(RELEASE, columns=columns)
    assert [row.text for row in read() if isinstance(row, Utterance)] == [said.text for said in CORPUS]


def test_all_languages_of_a_release_or_one_folder_are_read() -> None:
    layouts.common_voice(RELEASE, "it")
    layouts.common_voice(RELEASE, "zh-CN")
    assert {row.language for row in read() if isinstance(row, Utterance)} == {"it", "zh"}
    assert {row.language for row in read(f"{RELEASE}/zh-CN") if isinstance(row, Utterance)} == {"zh"}


def test_validated_clips_have_no_split_yet_and_their_speakers() -> None:
    layouts.common_voice(RELEASE)
    found = [row for row in read(splits="validated") if isinstance(row, Utterance)]
    assert {row.split for row in found} == {None}
    assert [row.speaker for row in found] == [said.speaker for said in CORPUS]


@pytest.mark.parametrize(("min_votes", "reason"), [(0, None), (1, None), (2, "too few votes")])
def test_votes_against_count(min_votes: int, reason: str | None) -> None:
    layouts.common_voice(RELEASE)
    table("train.tsv", row(0, up=3, down=2))
    assert reasons(min_votes=min_votes)[0] == reason


@pytest.mark.parametrize(
    ("reported", "reason"),
    [
        ("Other words.\tid7\tit\tgrammar-or-spelling", "reported"),  # by id, from release 17 on
        ("Ciao.\tid8\tit\tdifferent-language", "reported"),  # by its words
        ('"Cia"o.\tid8\tit\toffensive', None),
        ("Salve.\tid8\tit\toffensive", None),
    ],
)
def test_a_reported_sentence_is_set_aside_with_what_was_said_of_it(reported: str, reason: str | None) -> None:
    layouts.common_voice(RELEASE)
    table("train.tsv", row(0, sentence_id="id7"))
    lines(RELEASE / "it/reported.tsv", "sentence\tsentence_id\tlocale\treason", reported)
    first = read()[0]
    assert (first.reason if isinstance(first, Rejected) else None) == reason
    if isinstance(first, Rejected):
        assert first.detail == reported.split("\t")[3]
    assert reasons(keep_reported=True)[0] is None


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ('""Ciao"" disse.', '"Ciao" disse.'),
        ('"""Ciao"" disse."', '"Ciao" disse.'),
        ('"Ciao', '"Ciao'),
        ("l'una", "l'una"),
        ("é", "é"),
    ],
)
def test_quotes_are_read_as_meant(written: str, meant: str) -> None:
    layouts.common_voice(RELEASE)
    table("train.tsv", row(0, written), row(1))
    found = read()
    assert isinstance(found[0], Utterance) and found[0].text == meant
    assert isinstance(found[1], Utterance) and found[1].id == "common_voice_it_101"


def test_a_clip_whose_length_is_not_stated_has_none() -> None:
    layouts.common_voice(RELEASE)
    (RELEASE / "it/clip_durations.tsv").unlink()
    assert {row.duration_s for row in read() if isinstance(row, Utterance)} == {None}


def test_a_row_with_a_tab_too_many_is_rejected_with_its_line() -> None:
    layouts.common_voice(RELEASE)
    table("train.tsv", row(0), row(1, "one\ttwo"))
    (bad,) = [row for row in read() if isinstance(row, Rejected)]
    assert (bad.id, bad.reason) == ("train.tsv:3", "bad row") and bad.detail.startswith("14 cells for 13 columns")


def test_a_table_that_is_missing_from_the_release_is_one_line() -> None:
    layouts.common_voice(RELEASE)
    (RELEASE / "it/dev.tsv").unlink()
    with pytest.raises(UserError, match=r"it/dev\.tsv is missing from the release"):
        read()


def test_a_missing_and_a_doubled_column_are_named() -> None:
    layouts.common_voice(RELEASE, columns="client_id path up_votes down_votes")
    with pytest.raises(UserError, match=r"train\.tsv has no column 'sentence', but 'client_id', 'path'"):
        read()
    layouts.common_voice(RELEASE, columns="client_id path sentence sentence up_votes down_votes")
    with pytest.raises(UserError, match=r"train\.tsv has more than one column 'sentence'"):
        read()


def archived(name: str = "cv-corpus-17.0-2024-03-15-it.tar.gz") -> Path:
    layouts.common_voice(RELEASE)
    layouts.clip(RELEASE / "it/clips/common_voice_it_999.mp3")  # recorded, never validated
    with tarfile.open(name, "w:gz") as tar:
        tar.add(RELEASE)
    return Path(name)


def test_an_archive_is_the_same_as_its_folder_and_only_the_clips_that_are_used_are_unpacked() -> None:
    archive = archived()
    found = [row for row in read(str(archive)) if isinstance(row, Utterance)]
    assert [(row.id, row.text, row.split) for row in found] == [
        (row.id, row.text, row.split) for row in read() if isinstance(row, Utterance)
    ]
    clips = sorted(path.name for path in Path("data/corpus").rglob("*.mp3"))
    assert clips == sorted(Path(row.audio).name for row in found) and len(clips) == len(CORPUS)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 0.99])
def test_an_archive_that_is_half_there_is_one_line(share: float) -> None:
    archive = archived()
    content = archive.read_bytes()
    archive.write_bytes(content[: int(share * len(content))])
    with pytest.raises(UserError, match=r"is damaged or only half there \(.*\); download it again") as caught:
        read(str(archive))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["../../../../it/train.tsv", "{outside}/it/train.tsv"])
def test_an_archive_does_not_write_outside_of_its_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (folder / "project").mkdir()
    monkeypatch.chdir(folder / "project")
    with tarfile.open("evil.tar.gz", "w:gz") as tar:
        tar.addfile(tarfile.TarInfo(name.format(outside=folder / "outside")), io.BytesIO())
    with pytest.raises(UserError, match=r"evil\.tar\.gz"):
        read("evil.tar.gz")
    assert [path.name for path in folder.iterdir()] == ["project"]


def test_an_archive_of_something_else_is_one_line() -> None:
    with tarfile.open("books.tar.gz", "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("a/book.txt"), io.BytesIO())
    with pytest.raises(UserError, match=r"in books\.tar\.gz is no LANGUAGE/train\.tsv with a column client_id"):
        read("books.tar.gz")
