"""asr/report.py: a page that stands alone, says what the intervals allow, and escapes what a corpus holds."""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from asr import report
from asr.report import Context, Piece, align, headline, verdict, worst, write
from asr.scoring import Prediction, metrics

CURVE = [{"step": step, "train_loss": 3.0 / step} for step in range(1, 5)] + [{"step": 4, "validation_loss": 1.0}]
CONTEXT = Context(
    params={"model": {"checkpoint": "openai/whisper-base"}, "train": {"max_steps": 4}},
    git_commit="0123abcd",
    run_id="run-of-this-test",
    rejects={"too long": 2, "text is empty": 1},
    corpus={"train": {"n_utterances": 1500, "hours": 1.25}},
    curve=CURVE,
    durations_s={"train": 82},
)


def heard(number: int, reference: str, hypothesis: str, baseline: str = "", language: str = "es") -> Prediction:
    return Prediction(f"clip {number}", language, None, reference, hypothesis, hypothesis, baseline)


def page(folder: Path, predictions: list[Prediction], context: Context = CONTEXT) -> str:
    write(folder, metrics(predictions, 100, seed=1), predictions, context)
    return (folder / report.PAGE).read_text(encoding="utf-8")


class Tags(HTMLParser):
    """Every tag with its attributes, and whether all were closed in order."""

    VOID = ("meta", "link", "br", "img")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_shows_the_result_and_what_it_came_from(tmp_path: Path) -> None:
    predictions = [heard(number, "hola mundo", "hola mundo" if number else "hola") for number in range(50)]
    text = page(tmp_path, predictions)
    assert "Training helped" in text
    assert '<span class="was">100.0</span>' in text
    assert "<span>1.0</span>" in text
    for part in ("Spanish", "0123abcd", "run-of-this-test", "too long", "1,500", "1.25", "max_steps: 4", "1:22 min"):
        assert part in text
    assert (tmp_path / report.BARS).read_bytes()[:4] == (tmp_path / report.CURVE).read_bytes()[:4] == b"\x89PNG"


def test_the_page_needs_no_network_and_is_well_formed(tmp_path: Path) -> None:
    tags = Tags(page(tmp_path, [heard(number, "hola mundo", "hola", "nada") for number in range(40)]))
    assert not tags.open
    assert "script" not in [tag for tag, _ in tags.found]
    for _, attributes in tags.found:
        for name in ("src", "href"):
            assert (attributes.get(name) or "#").startswith(("#", "data:"))
    text = (tmp_path / report.PAGE).read_text()
    assert "@import" not in text
    assert not re.findall(r"url\((?!#)", text)


def test_all_that_a_corpus_says_is_escaped(tmp_path: Path) -> None:
    nasty = "<script>alert('x')</script> & \"quotes\""
    predictions = [Prediction(nasty, "es", nasty, nasty, f"{nasty} {nasty}", nasty, nasty)]
    text = page(tmp_path, predictions, Context(params={nasty: nasty}, git_commit=nasty, rejects={nasty: 1}))
    assert "<script" not in text
    assert "&lt;script&gt;" in text


def test_the_same_results_make_the_same_page(tmp_path: Path) -> None:
    predictions = [heard(number, "hola mundo", "hola", "nada") for number in range(40)]
    assert page(tmp_path / "one", predictions) == page(tmp_path / "two", predictions)


def test_a_page_without_errors_curve_or_rejects_is_still_a_page(tmp_path: Path) -> None:
    text = page(tmp_path, [heard(0, "hola", "hola", "hola"), heard(1, "", "", "", "fr")], Context(params={}))
    assert "Every word was heard" in text
    assert "no words to score" in text
    assert "Nothing: every utterance" in text
    assert not (tmp_path / report.CURVE).exists()


@pytest.mark.parametrize(
    ("interval", "n_utterances", "kind", "part"),
    [
        ([-0.5, -0.25], 100, "better", "between 25.0 and 50.0 fewer"),
        ([0.1, 0.2], 100, "worse", "between 10.0 and 20.0 more"),
        ([-0.1, 0.0], 100, "unclear", "may be chance"),
        ([-0.5, -0.25], 29, "unclear", "29 utterances"),
        (None, 100, "unclear", "no verdict"),
    ],
)
def test_the_verdict_is_what_the_interval_allows(
    interval: list[float] | None, n_utterances: int, kind: str, part: str
) -> None:
    scores: dict[str, Any] = {"difference_interval": interval, "n_utterances": n_utterances}
    found = verdict(scores | {"difference_normalized_interval": [-0.4, -0.2]}, "wer")
    assert found.kind == kind
    assert part in found.sentence


def test_learning_to_write_alone_is_told_from_hearing() -> None:
    scores = {"difference_interval": [-0.5, -0.2], "difference_normalized_interval": [-0.1, 0.1], "n_utterances": 100}
    assert "writing changed more than hearing" in verdict(scores, "wer").sentence


def test_characters_lead_only_where_no_language_has_spaces() -> None:
    assert headline({"language": {"zh": {}, "ja": {}}}) == "cer"
    assert headline({"language": {"zh": {}, "es": {}}}) == "wer"


def test_an_alignment_tells_misheard_from_written_otherwise() -> None:
    assert list(align("El perro, come pan", "el gato come un pan", "es")) == [
        Piece("minor", "El", "el"),
        Piece("substitute", "perro,", "gato"),
        Piece("equal", "come", "come"),
        Piece("insert", "", "un"),
        Piece("equal", "pan", "pan"),
    ]
    assert [piece.kind for piece in align("你好世界", "你好地", "zh")] == ["equal", "substitute", "delete"]
    assert list(align("hola", "", "es")) == [Piece("delete", "hola", "")]
    assert list(align("", "", "es")) == []


def test_an_alignment_holds_the_whole_of_both_texts() -> None:
    reference, hypothesis = "uno dos tres cuatro", "dos tres tres cinco seis"
    pieces = list(align(reference, hypothesis, "es"))
    assert " ".join(piece.reference for piece in pieces if piece.reference) == reference
    assert " ".join(piece.hypothesis for piece in pieces if piece.hypothesis) == hypothesis


def test_a_loop_is_shortened_and_its_length_told() -> None:
    (_, loop) = align("hola", "hola" + " la" * 112, "es")
    assert loop.hypothesis.split() == ["la"] * 12 + ["…", "(+100)"]


def test_the_worst_come_first_and_writing_does_not_count() -> None:
    predictions = [
        heard(0, "uno dos tres", "UNO, dos; tres!"),
        heard(1, "uno dos tres", "uno dos"),
        heard(2, "uno dos tres", "", "uno"),
        heard(3, "你好世界", "你好", "", "zh"),
    ]
    found = worst(predictions, 10)
    assert [one.prediction.id for one in found] == ["clip 2", "clip 3", "clip 1"]
    assert [(one.n_errors, one.n_units, one.unit) for one in found] == [
        (3, 3, "words"),
        (2, 4, "characters"),
        (1, 3, "words"),
    ]
    assert found[0].n_errors_before == 2
    assert len(worst(predictions, 1)) == 1
