"""The page of the data as a browser shows it: on a wide screen and a phone, in light and dark, without a network."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from asr.corpora import manifest
from asr.features import RATE_HZ
from asr.pages import data_report
from asr.shards import read_index
from asr.survey.rows import read
from asr.survey.survey import Histogram, Survey, survey
from asr.utterances import Utterance
from tests.builders import speech_like, write_features
from tests.chromium import BEYOND, CONTRAST, Page, browser
from tests.faulty import FAULTS, faulty, flawless, row

NASTY = '<img src="http://127.0.0.1:9/a.png"><script>alert(1)</script>' + "a" * 200
REJECTS = {"silent": 3, NASTY: 1}


def written(folder: Path, rows: dict[str, list[dict[str, Any]]], rejects: dict[str, int]) -> Survey:
    """The page of these rows, all of which have one sound."""
    write_features(folder, rows)
    soundfile.write(folder / "speech.wav", speech_like(1.5), RATE_HZ)
    sounds = [
        Utterance(one["id"], str(folder / "speech.wav"), one["text"], "es", split)  # type: ignore[arg-type]
        for split, members in rows.items()
        for one in members
    ]
    manifest.write(sounds, folder)
    found = survey(read(folder, read_index(folder)), rejects)
    data_report.write(folder, found, rejects, {"text": {"unicode": "NFC"}}, folder)
    return found


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Of a corpus with all faults that is up to no good, too."""
    folder = tmp_path_factory.mktemp("data")
    rows = faulty()
    rows["train"].append(row("train", 90, id=NASTY, speaker=NASTY, text=NASTY, trained_text=NASTY, clipped_share=0.5))
    written(folder, rows, REJECTS)
    return (folder / data_report.PAGE).as_uri()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser(tmp_path_factory.mktemp("profile")) as page:
        yield page


def test_the_page_names_every_fault_and_what_mends_it(page: Page, address: str) -> None:
    page.open(address)
    shown = page.text()
    for title, param in FAULTS.items():
        assert title in shown
        assert param in shown


def test_the_page_asks_the_network_for_nothing_whatever_a_corpus_says(page: Page, address: str) -> None:
    page.requests.clear()
    page.open(address)
    assert [request for request in page.requests if not request.startswith("data:")] == [address]
    assert page.evaluate("document.images.length + document.scripts.length") == 0


@pytest.mark.parametrize("width", [360, 390, 768, 1100])
def test_nothing_reaches_over_the_edge_of_a_screen(page: Page, address: str, width: int) -> None:
    page.open(address, width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(BEYOND) == []


def test_light_and_dark_can_be_read(page: Page, address: str) -> None:
    for dark in (False, True):
        page.open(address, dark=dark)
        assert page.evaluate(CONTRAST) >= 4.5


def test_utterances_can_be_heard(page: Page, address: str) -> None:
    page.open(address)
    page.wait_for("[...document.querySelectorAll('audio')].every(player => player.readyState)")
    durations_s = page.evaluate("[...document.querySelectorAll('audio')].map(player => player.duration)")
    assert len(durations_s) >= 30
    assert durations_s == pytest.approx([1.5] * len(durations_s), abs=0.15)


def test_of_a_corpus_without_faults_the_page_says_so(page: Page, tmp_path: Path) -> None:
    written(tmp_path, flawless(), {})
    page.open((tmp_path / data_report.PAGE).as_uri())
    assert "Nothing: no leak, no copy" in page.text() and "None stands out." in page.text()


def test_the_same_features_make_the_same_page(tmp_path: Path) -> None:
    pages = []
    for _ in range(2):
        written(tmp_path, faulty(), REJECTS)
        pages.append((tmp_path / data_report.PAGE).read_bytes())
    assert pages[0] == pages[1]


def test_bars_stand_on_each_other_and_the_tallest_reaches_the_top() -> None:
    counts = np.array([[1, 0, 0], [2, 1, 1], [0, 0, 0]])
    first, tallest, empty = data_report.bars(Histogram("Duration", "seconds", 0.5, counts, 0.6, 0))
    assert first.parts == [("train", 75.0, 25.0)] and first.label == "0 to 0.5: 1"
    assert tallest.parts == [("train", 50.0, 50.0), ("validation", 25.0, 25.0), ("test", 0.0, 25.0)]
    assert empty.parts == [] and empty.label == "1 and more: 0"


def test_the_terminal_gets_a_line_a_finding_and_no_more_than_it_can_hold(tmp_path: Path) -> None:
    found = written(tmp_path, faulty(), REJECTS)
    lines = data_report.lines(found, at_most=3)
    assert len(lines) == 4 and lines[-1] == f"and {len(found.findings) - 3} more findings"
    assert lines[0].endswith(found.findings[0].param)
