from pathlib import Path
from typing import Any

import pytest

from asr import params
from asr.errors import UserError
from asr.sources import kaldi
from asr.utterances import Rejected, Utterance
from tests.sources import layouts
from tests.sources.layouts import CORPUS, clip, lines

TRAIN = Path("s5/data/train")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    layouts.kaldi(Path("s5"))


def read(path: Any = str(TRAIN)) -> list[Utterance | Rejected]:
    return list(kaldi.utterances(params.Data(source="kaldi", path=path), Path("unused")))


def test_a_line_of_text_becomes_an_utterance() -> None:
    size = Path("s5/audio/tr0-utt.wav").stat().st_size
    said = CORPUS[0]
    assert read()[0] == Utterance("tr0-utt", "s5/audio/tr0-utt.wav", said.text, "it", "train", "tr0", source_bytes=size)


def test_segments_are_pieces_of_their_recordings() -> None:
    lines(TRAIN / "segments", "tr0-utt call 0.1 0.3", "tr1-utt call 0.3 -1")
    clip(Path("s5/audio/call.wav"))
    lines(TRAIN / "wav.scp", "call audio/call.wav")
    first, second = read()
    assert isinstance(first, Utterance) and isinstance(second, Utterance)
    assert (first.start_s, first.duration_s, first.timed) == (0.1, pytest.approx(0.2), True)
    assert (second.start_s, second.duration_s, second.timed) == (0.3, None, False)
    assert first.source_bytes == Path("s5/audio/call.wav").stat().st_size // 2


def test_a_segment_that_is_all_of_its_recording_is_not_timed() -> None:
    lines(TRAIN / "segments", "tr0-utt tr0-utt 0.0 0.5", "tr1-utt tr1-utt 0.0 0.4")
    lines(TRAIN / "reco2dur", "tr0-utt 0.5", "tr1-utt 0.5")
    assert [row.timed for row in read() if isinstance(row, Utterance)] == [False, True]


def test_durations_are_read_where_they_are() -> None:
    lines(TRAIN / "utt2dur", "tr0-utt 0.5")
    assert [row.duration_s for row in read() if isinstance(row, Utterance)] == [0.5, None]


@pytest.mark.parametrize(
    ("segment", "reason"),
    [
        ("tr0-utt tr0-utt 0.4 0.2", "bad times"),
        ("tr0-utt tr0-utt x 0.2", "bad times"),
        ("tr0-utt tr0-utt 0.1", "missing audio"),
        ("tr0-utt nowhere 0.1 0.2", "missing audio"),
        ("other tr0-utt 0.1 0.2", "missing audio"),
    ],
)
def test_a_segment_that_cannot_be_is_rejected(segment: str, reason: str) -> None:
    lines(TRAIN / "segments", segment)
    assert isinstance(bad := read()[0], Rejected) and (bad.id, bad.reason) == ("tr0-utt", reason) and bad.detail


@pytest.mark.parametrize(
    ("audio", "said"),
    [
        ("sph2pipe -f wav call.sph |", "is a command, and none is run here; write its output to a file once"),
        ("raw_wav.1.ark:1234", "is a piece of an archive"),
    ],
)
def test_what_is_no_file_is_refused_with_its_line(audio: str, said: str) -> None:
    lines(TRAIN / "wav.scp", "tr1-utt audio/tr1-utt.wav", f"tr0-utt {audio}")
    with pytest.raises(UserError, match=rf"train/wav\.scp, line 2: '.*' {said}"):
        read()


def test_any_white_space_stands_between() -> None:
    lines(TRAIN / "wav.scp", "tr0-utt\taudio/tr0-utt.wav  ", "tr1-utt   audio/tr1-utt.wav")
    lines(TRAIN / "text", "tr0-utt\tuno  due ", "tr1-utt")
    found = [row for row in read() if isinstance(row, Utterance)]
    assert [row.text for row in found] == ["uno  due", ""]


@pytest.mark.parametrize(("name", "split"), [("train_si284", "train"), ("dev_clean_2", "validation"), ("all", None)])
def test_the_name_of_the_directory_says_the_split(name: str, split: str | None) -> None:
    TRAIN.rename(TRAIN.with_name(name))
    assert {row.split for row in read(f"s5/data/{name}") if isinstance(row, Utterance)} == {split}
