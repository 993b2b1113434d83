"""asr/pages/report.py: a page that stands alone, says what the scores say, and escapes what a corpus holds."""

import re
from html.parser import HTMLParser
from pathlib import Path

from asr.evaluate.leaks import Leak, text_key
from asr.evaluate.scoring import Prediction, metrics
from asr.pages import report
from asr.pages.report import Context, write

CURVE = [{"step": step, "train_loss": 3.0 / step} for step in range(1, 5)] + [{"step": 4, "validation_loss": 1.0}]
CONTEXT = Context(
    params={"model": {"checkpoint": "openai/whisper-base"}, "train": {"max_steps": 4}},
    git_commit="0123abcd",
    run_id="run-of-this-test",
    rejects={"too long": 2, "text is empty": 1},
    corpus={"train": {"n_utterances": 1500, "hours": 1.25}},
    curve=CURVE,
    digests={"Model": "5d41402a.dir", "Features": None},
)


def heard(number: int, reference: str, hypothesis: str, baseline: str = "", language: str = "es") -> Prediction:
    return Prediction(f"clip {number}", language, None, reference, hypothesis, hypothesis, baseline)


def page(folder: Path, predictions: list[Prediction], context: Context = CONTEXT, **more: object) -> str:
    write(folder, {**metrics(predictions, 100, seed=1), **more}, predictions, context)
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
    assert '<span class="now">1.0</span>' in text
    for part in ("Spanish", "0123abcd", "run-of-this-test", "too long", "1,500", "1.25", "max_steps: 4", "5d41402a"):
        assert part in text
    assert "Features, DVC" not in text
    assert (tmp_path / report.BARS).read_bytes()[:4] == (tmp_path / report.CURVE).read_bytes()[:4] == b"\x89PNG"


def test_failures_the_leak_and_the_speed_are_told_in_numbers(tmp_path: Path) -> None:
    predictions = [heard(number, f"hola {number}", "" if number < 3 else f"hola {number}") for number in range(50)]
    leak = Leak(frozenset({text_key("es", "hola 7")}), frozenset())
    scores = metrics(predictions, 100, seed=1, leak=leak)
    scores["speed"] = {"audio_s": 1234.5, "seconds": 100.0, "times_real_time": 12.35}
    scores["decoding"] = {"clips": 50, "loops": 4, "retries_that_helped": 3, "other_language": 2}
    write(tmp_path, scores, predictions, CONTEXT)
    text = (tmp_path / report.PAGE).read_text(encoding="utf-8")
    assert "<td>nothing heard</td><td>50</td><td>3</td><td>100.0 → 6.0</td>" in text
    assert "1 of 50 texts; speakers are unknown" in text
    assert "<li>1 of the 50 texts of the test split are in train too" in text
    assert "1,234.5 s of sound: 12.3 times real time" in text
    assert "Decoding 50 clips ran into 4 loops; 3 of them" in text


def test_other_sets_stand_in_the_table_and_their_loss_above_it(tmp_path: Path) -> None:
    worse = [heard(number, "hola mundo", "hola", "hola mundo") for number in range(50)]
    better = [heard(number, "hola mundo", "hola mundo", "hola") for number in range(50)]
    text = page(tmp_path, better, sets={"radio": metrics(worse, 100, seed=1, sliced=False)})
    assert text.index("radio: WER rose from 0.0% to 50.0%") < text.index("Other test sets")
    assert "<bdi>Set radio</bdi>" in text


def test_words_are_called_confused_only_where_it_happened_twice(tmp_path: Path) -> None:
    assert "<td>mundo" not in page(tmp_path, [heard(0, "hola mundo", "hola mondo"), heard(1, "hola", "bola")])
    text = page(tmp_path, [heard(number, "hola mundo", "hola mondo") for number in range(2)])
    assert re.search(r">mundo</td><td [^>]*>mondo</td><td>2</td>", text)


def test_many_languages_are_counted_in_the_heading(tmp_path: Path) -> None:
    few = [heard(number, "hola", "hola", language=code) for number, code in enumerate(["es", "fr"])]
    assert "openai/whisper-base on Spanish, French</p>" in page(tmp_path, few)
    codes = ["es", "fr", "de", "nl", "pl", "hi", "th", "ja", "ar"]
    many = [heard(number, "hola", "hola", language=code) for number, code in enumerate(codes)]
    assert "openai/whisper-base on 9 languages</p>" in page(tmp_path, many)


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
    predictions = [Prediction(nasty, "es", nasty, nasty, f"{nasty} {nasty}", nasty, nasty) for _ in range(3)]
    context = Context(params={nasty: nasty}, git_commit=nasty, rejects={nasty: 1}, digests={nasty: nasty})
    text = page(tmp_path, predictions, context, sets={nasty: metrics(predictions, 100, seed=1, sliced=False)})
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
