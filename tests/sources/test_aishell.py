"""AISHELL-1: what the release has and lacks."""

from pathlib import Path

import pytest

from asr import params
from asr.errors import UserError
from asr.sources import aishell
from asr.utterances import Rejected, Utterance
from tests.sources import layouts
from tests.sources.layouts import clip, lines

DATA = params.Data(source="aishell", path="in")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def read() -> list[Utterance | Rejected]:
    return list(aishell.utterances(DATA, Path("unused")))


def test_the_words_are_joined_and_the_speaker_is_the_folder() -> None:
    clip(Path("in/wav/dev/S0724/BAC009S0724W0121.wav"))
    lines(Path("in/transcript/aishell_transcript_v0.8.txt"), "BAC009S0724W0121 广州市 房地产 中介 协会  分析")
    (row,) = read()
    assert isinstance(row, Utterance)
    assert (row.text, row.speaker, row.split, row.language) == ("广州市房地产中介协会分析", "S0724", "validation", "zh")


def test_a_line_without_a_recording_and_a_recording_without_a_line_are_rejected() -> None:
    layouts.aishell(Path("in"))
    path = Path("in/transcript/aishell_transcript_v0.8.txt")
    path.write_text("BAC009S9999W0001 没有\n" + "".join(path.read_text().splitlines(keepends=True)[1:]))
    found = {row.id: row.reason for row in read() if isinstance(row, Rejected)}
    assert found == {"BAC009S9999W0001": "missing audio", "BAC009S0000W0000": "no transcript"}


def test_speakers_that_are_still_packed_are_named_with_the_command() -> None:
    lines(Path("in/transcript/aishell_transcript_v0.8.txt"), "a 一")
    Path("in/wav").mkdir()
    Path("in/wav/S0002.tar.gz").touch()
    with pytest.raises(UserError, match=r"the speakers of in are packed .*unpack them: cd in/wav && for f in"):
        read()


def test_a_folder_without_a_transcript_says_what_it_needs() -> None:
    clip(Path("in/a.wav"))
    with pytest.raises(UserError, match=r"in in is no transcript/aishell_transcript_v0.8.txt, as data.source aishell"):
        read()
