from pathlib import Path

import pytest

from asr import params
from asr.sources import cues, subtitles
from asr.sources.cues import Cue
from asr.utterances import Rejected, Utterance
from tests.sources.layouts import clip

SRT = "1\n00:00:00,000 --> 00:00:01,500\nCiao.\n\n2\n00:00:01,500 --> 00:00:02,000\nCome\nva?\n"

TEXTGRID_LONG = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 2.5
tiers? <exists>
size = 3
item []:
    item [1]:
        class = "IntervalTier"
        name = "Ana"
        xmin = 0
        xmax = 2.5
        intervals: size = 3
        intervals [1]:
            xmin = 0
            xmax = 1
            text = ""
        intervals [2]:
            xmin = 1
            xmax = 2.0
            text = "She said ""4 = 4""."
        intervals [3]:
            xmin = 2.0
            xmax = 2.5
            text = "Yes."
    item [2]:
        class = "TextTier"
        name = "bells"
        xmin = 0
        xmax = 2.5
        points: size = 1
        points [1]:
            number = 1.25
            mark = "ding"
    item [3]:
        class = "IntervalTier"
        name = "Ana - words"
        xmin = 0
        xmax = 2.5
        intervals: size = 1
        intervals [1]:
            xmin = 1
            xmax = 1.2
            text = "She"
"""
TEXTGRID_SHORT = """File type = "ooTextFile"
Object class = "TextGrid"

0
2.5
<exists>
1
"IntervalTier"
"Ana"
0
2.5
3
0
1
""
1
2.0
"She said ""4 = 4""."
2.0
2.5
"Yes."
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    clip(Path("in/talk.wav"), duration_s=3)
    return tmp_path


def written(content: str, name: str = "talk.srt") -> Path:
    path = Path("in", name)
    path.write_text(content, encoding="utf-8")
    return path


def read(language: str = "it") -> list[Utterance | Rejected]:
    data = params.Data(source="subtitles", path="in", language=language)
    return list(subtitles.utterances(data, Path("unused")))


def outcomes(*times: str) -> list[tuple[str, str]]:
    """Of cues with these times, by id: their text, or why they are rejected."""
    written("\n\n".join(f"{n}\n{time}\ncue {n}" for n, time in enumerate(times)))
    return sorted((row.id, row.reason if isinstance(row, Rejected) else row.text) for row in read())


def test_cues_become_utterances() -> None:
    written(SRT)
    size = Path("in/talk.wav").stat().st_size // 2
    assert read() == [
        Utterance("talk@0.000", "in/talk.wav", "Ciao.", "it", None, "talk", 0.0, 1.5, size, timed=True),
        Utterance("talk@1.500", "in/talk.wav", "Come va?", "it", None, "talk", 1.5, 0.5, size, timed=True),
    ]


def test_web_vtt_is_read_without_its_header_comments_styles_identifiers_and_markup() -> None:
    path = written(
        "WEBVTT - A talk\nKind: captions\n\nSTYLE\n::cue { color: red }\n\nNOTE 00:01 --> nothing\nof this\n\n"
        "intro\n00:00.500 --> 00:01.000 align:start position:0%\n<v Ann><i>Tom &amp; <00:00.700>I</i></v>\n\n"
        "01:00:00.000 --> 01:00:01.250\n7\n",
        "talk.vtt",
    )
    assert list(cues.cues(path)) == [Cue(0.5, 1.0, "Tom & I"), Cue(3600.0, 3601.25, "7")]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_any_line_end_is_one(end: str) -> None:
    path = Path("in/talk.srt")
    path.write_bytes(SRT.replace("\n", end).encode())
    assert list(cues.cues(path)) == [Cue(0.0, 1.5, "Ciao."), Cue(1.5, 2.0, "Come va?")]


@pytest.mark.parametrize(
    ("block", "text"),
    [
        ("00:00:01,0 --> 00:00:02,50\nno number", "no number"),
        ("1\n0:00:01.000-->0:00:02.500\nno spaces, a dot", "no spaces, a dot"),
        ("1\n00:00:01,000 --> 00:00:02,500  X1:40 X2:600\n{\\an8}above", "above"),
        ("1\n00:00:01,000 --> 00:00:02,500\n1 < 2 & 3 > 2", "1 < 2 & 3 > 2"),
        ("1\n00:00:01,000 --> 00:00:02,500\n1984", "1984"),
        ("1\n00:00:01,000 --> 00:00:02,500", ""),
    ],
)
def test_srt_as_people_write_it_is_read(block: str, text: str) -> None:
    (cue,) = cues.cues(written(block))
    assert isinstance(cue, Cue) and (cue.start_s, cue.text) == (1.0, text)


@pytest.mark.parametrize("content", [TEXTGRID_LONG, TEXTGRID_SHORT])
def test_long_and_short_text_grids_say_the_same(content: str) -> None:
    """Without words, points and silence."""
    path = written(content, "talk.TextGrid")
    assert list(cues.cues(path)) == [Cue(1.0, 2.0, 'She said "4 = 4".'), Cue(2.0, 2.5, "Yes.")]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6])
def test_a_text_grid_that_ends_early_is_a_bad_row(share: float) -> None:
    path = written(TEXTGRID_SHORT[: int(share * len(TEXTGRID_SHORT))], "talk.TextGrid")
    *_, last = cues.cues(path)
    assert isinstance(last, Rejected) and last.reason == "bad row"


def test_a_text_grid_in_utf_16_is_read() -> None:
    Path("in/talk.TextGrid").write_text(TEXTGRID_LONG.replace("Yes", "Sì"), encoding="utf-16")
    assert [row.text for row in read() if isinstance(row, Utterance)] == ['She said "4 = 4".', "Sì."]


def test_cues_that_overlap_are_rejected_both_and_those_that_touch_are_not() -> None:
    times = ("00:00:00,000 --> 00:00:01,000", "00:00:00,970 --> 00:00:02,000", "00:00:01,500 --> 00:00:02,500")
    assert outcomes(*times) == [
        ("talk@0.000", "cue 0"),
        ("talk@0.970", "overlapping cue"),
        ("talk@1.500", "overlapping cue"),
    ]


def test_a_cue_inside_a_long_one_is_noticed_behind_another() -> None:
    times = ("00:00:00,000 --> 00:00:09,000", "00:00:01,000 --> 00:00:02,000", "00:00:08,000 --> 00:00:10,000")
    assert {outcome for _, outcome in outcomes(*times)} == {"overlapping cue"}


def test_cues_in_any_order_are_sorted() -> None:
    times = ("00:00:02,000 --> 00:00:03,000", "00:00:00,000 --> 00:00:01,000")
    assert outcomes(*times) == [("talk@0.000", "cue 1"), ("talk@2.000", "cue 0")]


@pytest.mark.parametrize(
    "time", ["00:00:02,000 --> 00:00:01,000", "00:00:01,000 --> 00:00:01,000", "00:00:0x,000 --> 00:00:02,000"]
)
def test_a_cue_that_runs_backwards_or_nowhere_is_rejected_alone(time: str) -> None:
    found = outcomes("00:00:00,000 --> 00:00:00,500", time)
    assert [outcome for _, outcome in found] == ["cue 0", "bad times"]


def test_subtitles_in_several_languages_are_used_in_that_of_the_corpus() -> None:
    written(SRT, "talk.it.srt")
    written(SRT.replace("Ciao", "Hi"), "talk.en-US.srt")
    first = read("en")[0]
    assert isinstance(first, Utterance) and (first.text, first.language) == ("Hi.", "en")
    (unclear,) = read("de")
    assert isinstance(unclear, Rejected) and unclear.reason == "several transcripts"
    assert unclear.detail == "talk.en-US.srt, talk.it.srt"


def test_a_part_of_a_name_that_is_no_language_belongs_to_the_name() -> None:
    clip(Path("in/talk.part2.wav"))
    written(SRT)
    written(SRT, "talk.part2.srt")
    assert {row.audio for row in read() if isinstance(row, Utterance)} == {"in/talk.wav", "in/talk.part2.wav"}


def test_what_stands_alone_is_rejected_by_name() -> None:
    written(SRT)
    written(SRT, "lost.srt")
    clip(Path("in/mute.mp3"))
    alone = [(row.id, row.reason) for row in read() if isinstance(row, Rejected)]
    assert alone == [("lost", "missing audio"), ("mute", "no transcript")]
