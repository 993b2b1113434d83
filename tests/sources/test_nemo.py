from pathlib import Path
from typing import Any

import pytest

from asr import params
from asr.errors import UserError
from asr.sources import nemo
from asr.utterances import Rejected, Utterance
from tests.sources import layouts
from tests.sources.layouts import CORPUS, clip, jsonl


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    clip(Path("in/a.wav"), duration_s=2)
    return tmp_path


def read(path: Any = "in") -> list[Utterance | Rejected]:
    return list(nemo.utterances(params.Data(source="nemo", path=path), Path("unused")))


def row(**fields: Any) -> dict[str, Any]:
    return {"audio_filepath": "a.wav", "text": "Ciao.", "duration": 2.0} | fields


def test_a_line_becomes_an_utterance() -> None:
    jsonl(Path("in/val_manifest.jsonl"), [row(lang="it", speaker=7)])
    size = Path("in/a.wav").stat().st_size
    assert read() == [Utterance("a.wav", "in/a.wav", "Ciao.", "it", "validation", "7", 0.0, 2.0, size)]


def test_an_offset_is_where_a_piece_begins_and_part_of_its_id() -> None:
    jsonl(Path("in/train.json"), [row(offset=0.5, duration=1), row(offset=1.5, duration=0.5)])
    first, second = read()
    assert isinstance(first, Utterance) and isinstance(second, Utterance)
    assert (first.id, first.start_s, first.duration_s, first.timed) == ("a.wav@0.5", 0.5, 1.0, True)
    assert (second.id, second.source_bytes) == ("a.wav@1.5", Path("in/a.wav").stat().st_size // 2)


def test_manifests_that_name_their_files_alike_have_ids_of_their_own() -> None:
    for name in ("one", "two"):
        clip(Path(f"in/{name}/a.wav"))
        jsonl(Path(f"in/{name}/train_manifest.json"), [row()])
    assert [row.id for row in read()] == ["one/a.wav", "two/a.wav"]


def test_absolute_paths_are_fine(folder: Path) -> None:
    jsonl(Path("in/test.json"), [row(audio_filepath=str(folder / "in/a.wav"))])
    assert isinstance(found := read()[0], Utterance) and (found.id, found.audio) == ("a.wav", "in/a.wav")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"audio_filepath": None}, "missing audio"),
        ({"audio_filepath": 5}, "missing audio"),
        ({"audio_filepath": "b.wav"}, "missing audio"),
        ({"offset": -1}, "bad times"),
        ({"offset": "soon"}, "bad times"),
        ({"duration": -1}, "bad times"),
        ({"duration": [1]}, "bad times"),
        ({"lang": "tlh"}, "unknown language"),
    ],
)
def test_a_row_that_cannot_be_is_rejected(fields: dict[str, Any], reason: str) -> None:
    jsonl(Path("in/train.json"), [row(**fields)])
    assert isinstance(found := read()[0], Rejected) and found.reason == reason


def test_audio_in_archives_is_refused() -> None:
    jsonl(Path("in/tarred_audio_manifest.json"), [row(shard_id=0)])
    with pytest.raises(UserError, match=r"tarred_audio_manifest\.json is of a tarred dataset"):
        read()


def test_json_of_other_kinds_is_passed_over() -> None:
    layouts.nemo(Path("in"))
    Path("in/settings.json").write_text('{"rate": 16000}')
    Path("in/list.json").write_text("[1, 2]")
    assert [type(row) for row in read()] == [Utterance] * len(CORPUS)
