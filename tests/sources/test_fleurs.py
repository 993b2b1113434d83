from pathlib import Path
from typing import Any

import pytest

from asr import params
from asr.errors import UserError
from asr.sources import fleurs
from asr.utterances import Rejected, Utterance
from tests.sources import layouts
from tests.sources.layouts import CORPUS, lines


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(path: Any = "data-hub", **fields: Any) -> list[Utterance | Rejected]:
    data = params.Data(source="fleurs", path=path, **fields)
    return list(fleurs.utterances(data, Path("data/corpus")))


def test_a_line_becomes_an_utterance() -> None:
    layouts.fleurs(Path("data-hub"))
    audio = "data/corpus/it_it/train/00000.wav"
    (first, *_) = read()
    assert first == Utterance(
        "it_it/00000", audio, CORPUS[0].text, "it", "train", None, 0.0, 0.5, Path(audio).stat().st_size
    )


def test_recordings_that_are_unpacked_stay_where_they_are() -> None:
    layouts.fleurs(Path("data-hub"), archived=False)
    assert {Path(row.audio).parts[:3] for row in read() if isinstance(row, Utterance)} == {
        ("data-hub", "it_it", "audio")
    }
    assert not Path("data/corpus").exists()


def test_the_normalised_text_is_the_fourth_column() -> None:
    layouts.fleurs(Path("data-hub"))
    assert [row.text for row in read(normalized=True) if isinstance(row, Utterance)] == [
        said.text.lower() for said in CORPUS
    ]


@pytest.mark.parametrize(
    ("name", "code"),
    [("cmn_hans_cn", "zh"), ("nb_no", "no"), ("fil_ph", "tl"), ("yue_hant_hk", "yue"), ("sr_rs", "sr")],
)
def test_its_names_of_languages_are_known(name: str, code: str) -> None:
    layouts.fleurs(Path("data-hub"), name)
    assert {row.language for row in read() if isinstance(row, Utterance)} == {code}


def test_languages_together_have_ids_of_their_own() -> None:
    for name in ("it_it", "es_419"):
        layouts.fleurs(Path("data-hub"), name)
    found = read()
    assert len({row.id for row in found}) == len(found) == 2 * len(CORPUS)
    assert read(["data-hub/es_419", "data-hub/it_it"]) == found


def test_quotes_are_letters_and_a_line_with_a_cell_too_few_is_rejected() -> None:
    layouts.fleurs(Path("data-hub"))
    good = '1\t00000.wav\t"Ciao" disse\tciao disse\tc i a o |\t8000\tMALE'
    lines(Path("data-hub/it_it/train.tsv"), good, good.removesuffix("\tMALE"))
    first, second, *_ = read()
    assert isinstance(first, Utterance) and first.text == '"Ciao" disse'
    assert isinstance(second, Rejected) and (second.id, second.reason) == ("train.tsv:2", "bad row")


def test_a_table_without_its_recordings_is_one_line() -> None:
    layouts.fleurs(Path("data-hub"))
    Path("data-hub/it_it/audio/dev.tar.gz").unlink()
    with pytest.raises(
        UserError, match=r"it_it/dev\.tsv there is neither .*audio/dev\.tar\.gz nor the folder audio/dev"
    ):
        read()


def test_an_archive_that_is_half_there_is_one_line() -> None:
    layouts.fleurs(Path("data-hub"))
    archive = Path("data-hub/it_it/audio/test.tar.gz")
    archive.write_bytes(archive.read_bytes()[:-2000])
    with pytest.raises(UserError, match=r"test\.tar\.gz is damaged or only half there"):
        read()
