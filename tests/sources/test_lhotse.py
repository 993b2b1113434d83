from pathlib import Path
from typing import Any

import pytest

from asr import params
from asr.sources import lhotse
from asr.utterances import Rejected, Utterance
from tests.sources import layouts
from tests.sources.layouts import CORPUS, clip, jsonl


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(path: Any = "in") -> list[Utterance | Rejected]:
    return list(lhotse.utterances(params.Data(source="lhotse", path=path), Path("unused")))


def cut(recording: dict[str, Any] | None = None, supervision: dict[str, Any] | None = None, **fields: Any) -> Any:
    """As lhotse 1.33 writes one; its supervision's times count from its own start."""
    clip(Path("in/a.wav"), duration_s=2)
    source = {"type": "file", "channels": [0], "source": "a.wav"}
    recorded = {"id": "a", "sources": [source], "sampling_rate": 16000, "num_samples": 32000, "duration": 2.0}
    spoken = {"id": "a-1", "recording_id": "a", "start": 0.2, "duration": 0.5, "channel": 0, "text": "Ciao."}
    return {
        "id": "a-0",
        "start": 1.0,
        "duration": 1.0,
        "channel": 0,
        "supervisions": [spoken | {"language": "Italian", "speaker": "ana"} | (supervision or {})],
        "recording": recorded | (recording or {}),
        "type": "MonoCut",
    } | fields


def test_a_supervision_becomes_an_utterance() -> None:
    layouts.lhotse(Path("in"))
    audio = "in/audio/tr0-rec.wav"
    found = {row.id: row for row in read()}
    assert found["tr0-rec-0"] == Utterance(
        "tr0-rec-0", audio, CORPUS[0].text, "it", "train", "tr0", 0.0, 0.5, Path(audio).stat().st_size
    )


def test_times_in_a_cut_count_from_where_it_begins() -> None:
    jsonl(Path("in/my_cuts_dev.jsonl.gz"), [cut()])
    size = Path("in/a.wav").stat().st_size
    assert read() == [Utterance("a-1", "in/a.wav", "Ciao.", "it", "validation", "ana", 1.2, 0.5, size, timed=True)]


def test_a_supervision_that_begins_before_its_cut_keeps_its_place_in_the_recording() -> None:
    jsonl(Path("in/cuts.jsonl"), [cut(start=0.3, supervision={"start": -0.3})])
    assert isinstance(row := read()[0], Utterance) and (row.start_s, row.duration_s) == (0.0, 0.5)


def source(**fields: Any) -> dict[str, Any]:
    return {"sources": [{"type": "file", "channels": [0], "source": "a.wav"} | fields]}


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (lambda: cut(source(type="command", source="sox a.wav -t wav -")), "not a file"),
        (lambda: cut(source(type="memory", source="UklGRg==")), "not a file"),
        (lambda: cut(source(type="url", source="https://host/a.wav")), "not a file"),
        (lambda: cut({"sources": []}), "not a file"),
        (lambda: cut({"transforms": [{"name": "Speed", "kwargs": {"factor": 0.9}}]}), "transformed audio"),
        (lambda: cut(source(channels=[0, 1])), "one channel of several"),
        (lambda: cut(source(channels=[0, 1]), {"channel": [0, 1]}), None),
        (lambda: {"id": "mix", "tracks": [{"cut": cut(), "type": "MonoCut"}], "type": "MixedCut"}, "mixed cut"),
        (lambda: cut(supervision={"duration": 0}), "bad times"),
        (lambda: cut(supervision={"duration": None}), "bad times"),
        (lambda: cut(supervision={"language": "Klingon"}), "unknown language"),
        (lambda: cut(source(source="gone.wav")), "missing audio"),
        (lambda: {**cut(), "recording": None}, "missing audio"),
    ],
)
def test_what_is_not_read_as_lhotse_would_is_rejected(made: Any, reason: str | None) -> None:
    jsonl(Path("in/cuts.jsonl"), [cut(), made()])
    found = read()[1]
    assert (found.reason if isinstance(found, Rejected) else None) == reason


def test_a_supervision_without_its_recording_is_rejected() -> None:
    layouts.lhotse(Path("in"))
    jsonl(Path("in/corpus_recordings_dev.jsonl.gz"), [])
    bad = [row for row in read() if isinstance(row, Rejected)]
    assert [(row.id, row.reason) for row in bad] == [("va0-rec-0", "missing audio"), ("va1-rec-0", "missing audio")]


def test_a_line_that_is_no_json_is_rejected_with_its_number() -> None:
    jsonl(Path("in/cuts.jsonl"), [cut()])
    with Path("in/cuts.jsonl").open("a") as file:
        file.write('{"id": "b", \n[1]\n')
    assert [(row.id, row.reason) for row in read() if isinstance(row, Rejected)] == [
        ("cuts.jsonl:2", "bad row"),
        ("cuts.jsonl:3", "bad row"),
    ]


def test_a_manifest_that_is_half_there_is_one_line() -> None:
    layouts.lhotse(Path("in"))
    path = Path("in/corpus_supervisions_train.jsonl.gz")
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ValueError, match=r"supervisions_train\.jsonl\.gz is damaged or only half there"):
        read()
