"""The report as a browser shows it: on a wide screen and a phone, in light and dark, without a network."""

from collections.abc import Iterator

import pytest
import soundfile

from asr.corpora import manifest
from asr.evaluate.predictions import Prediction
from asr.evaluate.scoring import Scores, metrics
from asr.pages import report
from asr.pages.report import Context, write
from asr.utterances import Utterance
from tests.builders import speech_like
from tests.chromium import BEYOND, CONTRAST, Page, browser

NASTY = '<img src="http://127.0.0.1:9/a.png"><script src="http://127.0.0.1:9/a.js"></script>' + "a" * 200
TEXTS = {"en": "one two three", "ar": "القطط تنام في الحديقة", "ja": "今日はとても天気がいい", "hi": "मेरा दोस्त जाएगा"}
N_UTTERANCES = 48
CURVE = [{"step": step, "train_loss": 3.0 / step, "learning_rate": 1e-5} for step in range(1, 30)]


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> Scores:
    """Of a corpus that is up to no good."""
    rows = []
    for number in range(N_UTTERANCES):
        language, text = list(TEXTS.items())[number % len(TEXTS)]
        hypothesis = text[: len(text) // 2] + (" la" * 90 if number == 5 else "") if number % 3 else text
        name = f"{NASTY}{number}" if number == 8 else f"clip {number}"
        rows.append(Prediction(name, language, NASTY, text, hypothesis, hypothesis, f"{NASTY} {text}", 1.5))
    folder = tmp_path_factory.mktemp("report")
    soundfile.write(folder / "speech.wav", speech_like(1.5), 16_000)
    manifest.write(
        [Utterance(row.id, str(folder / "speech.wav"), row.reference, row.language, "test") for row in rows[5:]], folder
    )
    scores = metrics(rows, 100, seed=1)
    scores["sets"] = {"radio": metrics(rows, 100, seed=1, sliced=False)}
    context = Context(
        params={NASTY: NASTY}, git_commit=NASTY, run_id=NASTY, rejects={NASTY: 3}, curve=CURVE, digests={"Model": NASTY}
    )
    write(folder, scores, rows, context, folder)
    return {**scores, "address": (folder / report.PAGE).as_uri()}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser(tmp_path_factory.mktemp("profile")) as page:
        yield page


def test_the_page_shows_the_rates_of_metrics_json(page: Page, scores: Scores) -> None:
    page.open(scores["address"])
    shown = page.evaluate("document.querySelector('.headline').innerText")
    assert f"{100 * scores['baseline']['wer']:.1f}" in shown
    assert f"{100 * scores['wer']:.1f}" in shown
    assert f"{scores['n_utterances']} test utterances" in page.text()


def test_the_page_asks_the_network_for_nothing_whatever_a_corpus_says(page: Page, scores: Scores) -> None:
    page.requests.clear()
    page.open(scores["address"])
    foreign = [request for request in page.requests if not request.startswith("data:")]
    assert foreign == [scores["address"]]
    assert page.evaluate("document.images.length + document.scripts.length") == 0


def test_what_would_be_smuggled_in_all_the_same_is_refused(page: Page, scores: Scores) -> None:
    page.open(scores["address"])
    refused = """new Promise(resolve => {
        addEventListener("securitypolicyviolation", event => resolve([event.disposition, event.effectiveDirective]))
        const element = document.createElement("%s")
        element.src = "http://127.0.0.1:9/a"
        document.body.append(element)
    })"""
    assert page.evaluate(refused % "img") == ["enforce", "img-src"]
    assert page.evaluate(refused % "script") == ["enforce", "script-src-elem"]


@pytest.mark.parametrize("width", [360, 390, 768, 1100])
def test_nothing_reaches_over_the_edge_of_a_screen(page: Page, scores: Scores, width: int) -> None:
    page.open(scores["address"], width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(BEYOND) == []


def test_a_phone_gets_curves_of_its_own(page: Page, scores: Scores) -> None:
    shown = "[...document.querySelectorAll('figure')].filter(one => one.offsetHeight).map(one => one.className)"
    page.open(scores["address"], 390)
    assert page.evaluate(shown) == ["narrow"]
    page.open(scores["address"], 1100)
    assert page.evaluate(shown) == ["wide"]


def test_every_player_has_a_sound_of_the_clips_length(page: Page, scores: Scores) -> None:
    page.open(scores["address"])
    page.wait_for("[...document.querySelectorAll('audio')].every(player => player.readyState)")
    durations_s = page.evaluate("[...document.querySelectorAll('audio')].map(player => player.duration)")
    assert len(durations_s) >= 15
    assert durations_s == pytest.approx([1.5] * len(durations_s), abs=0.15)  # MP3 pads to whole frames
    assert "No sound: the manifest does not name it" in page.text()


def test_light_and_dark_differ_and_both_can_be_read(page: Page, scores: Scores) -> None:
    grounds = []
    for dark in (False, True):
        page.open(scores["address"], dark=dark)
        grounds.append(page.evaluate("getComputedStyle(document.documentElement).backgroundColor"))
        assert page.evaluate(CONTRAST) >= 4.5
    assert grounds[0] != grounds[1]


def test_arabic_runs_from_the_right_and_says_that_it_is_arabic(page: Page, scores: Scores) -> None:
    page.open(scores["address"])
    direction = "[...document.querySelectorAll('.said:lang(%s)')].map(text => getComputedStyle(text).direction)"
    assert set(page.evaluate(direction % "ar")) == {"rtl"}
    assert set(page.evaluate(direction % "hi")) == {"ltr"}
