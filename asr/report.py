"""Scores, predictions and what they came from -> report.html, one page that needs no network, and its pictures."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import jinja2
import jiwer
import yaml
from markupsafe import Markup

from asr import pictures, training_curve
from asr.edits import edits
from asr.languages import NAMES
from asr.normalize import normalize, written_without_spaces
from asr.predictions import Prediction

DPI = 160  # of the pictures: 1,200 pixels for 7.5 inches
PAGE, BARS, CURVE = "report.html", "wer_by_language.png", "training_curve.png"
N_WORST = 20
MIN_UTTERANCES = 30  # under this, the interval of a bootstrap is too narrow to found a verdict on
MAX_EXTRA_WORDS = 12  # a loop can add hundreds of words; so many of them are shown in a row

_DIFFERENCES = {"wer": "difference_interval", "cer": "difference_cer_interval"}

Metrics = Mapping[str, Any]


@dataclass(frozen=True)
class Context:
    """What the numbers came from; what is left empty is left out of the page.

    `corpus` has n_utterances and hours of each split, `rejects` the count of each reason, `curve` points with `step`
    and values of the training's curves, `chosen_steps` those whose weights were kept, `durations_s` the seconds of
    each stage.
    """

    params: Mapping[str, Any]
    git_commit: str | None = None
    run_id: str | None = None
    rejects: Mapping[str, int] = field(default_factory=dict)
    corpus: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    curve: Sequence[Mapping[str, float]] = ()
    chosen_steps: Sequence[int] = ()
    durations_s: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    kind: Literal["better", "worse", "unclear"]
    title: str
    sentence: str


@dataclass(frozen=True)
class Piece:
    """A stretch of an alignment: `equal`, `minor` (differs only in writing), `substitute`, `delete` or `insert`."""

    kind: str
    reference: str
    hypothesis: str


@dataclass(frozen=True)
class Heard:
    """An utterance, how many of its words (or characters) are wrong, normalised, and where."""

    prediction: Prediction
    n_errors: int
    n_errors_before: int
    n_units: int
    unit: str
    pieces: list[Piece]
    joined_with: str


def write(folder: Path, metrics: Metrics, predictions: Sequence[Prediction], context: Context) -> None:
    """Write the page and its pictures into `folder`; a picture of the curve only where there is a curve."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = ""
    with pictures.style():
        pictures.bars(list(_pairs(metrics))).savefig(folder / BARS, dpi=DPI)
        if curve := training_curve.picture(context.curve, context.chosen_steps):
            curve.savefig(folder / CURVE, dpi=DPI)
            drawn = pictures.svg(curve, "Losses, word error rate and learning rate of the training")
    name = headline(metrics)
    page = _template().render(
        metrics=metrics,
        context=context,
        name=name,
        verdict=verdict(metrics, name),
        languages=_languages(metrics),
        scale=_scale(metrics),
        picture=Markup(drawn),
        worst=worst(predictions, N_WORST),
        params=yaml.safe_dump(dict(context.params), sort_keys=False, allow_unicode=True),
    )
    (folder / PAGE).write_text(page, encoding="utf-8")


def score_of(language: str) -> str:
    """The name of the score that leads for a language: `cer` where words are not set apart, else `wer`."""
    return "cer" if written_without_spaces(language) else "wer"


def headline(metrics: Metrics) -> str:
    """The score that leads over all: `cer` only if it does in every language."""
    return "cer" if all(map(written_without_spaces, metrics["language"])) else "wer"


def verdict(metrics: Metrics, name: str) -> Verdict:
    """What the paired interval of `name` (wer or cer) allows to say about before and after."""
    interval, n_utterances = metrics[_DIFFERENCES[name]], metrics["n_utterances"]
    units = {"wer": "words", "cer": "characters"}[name]
    if interval is None or n_utterances < MIN_UTTERANCES:
        return Verdict("unclear", "Too few to tell", f"A test split of {n_utterances} utterances allows no verdict.")
    low, high = interval
    if low <= 0 <= high:
        sentence = (
            f"The difference lies between {100 * low:+.1f} and {100 * high:+.1f} of 100 {units}: it may be chance."
        )
        return Verdict("unclear", "No clear difference", sentence)
    fewest, most = sorted((abs(low), abs(high)))
    kind, title, direction = (
        ("better", "Training helped", "fewer") if high < 0 else ("worse", "Training did harm", "more")
    )
    sentence = f"Of 100 {units}, between {100 * fewest:.1f} and {100 * most:.1f} {direction} are wrong than before."
    normalized = metrics["difference_normalized_interval"]
    if name == "wer" and normalized and normalized[0] <= 0 <= normalized[1]:
        sentence += " Without capitals and punctuation the difference may be chance: writing changed more than hearing."
    return Verdict(kind, title, sentence)  # type: ignore[arg-type]


def worst(predictions: Sequence[Prediction], n: int) -> list[Heard]:
    """The `n` utterances with most errors after training, normalised, most first; none without an error."""
    after, before = (_errors(predictions, column) for column in ("hypothesis", "baseline"))
    found = [row for row in range(len(predictions)) if after[row][0]]
    found.sort(key=lambda row: (-after[row][0], after[row][1], predictions[row].id))
    heard = []
    for row in found[:n]:
        prediction = predictions[row]
        by_character = written_without_spaces(prediction.language)
        heard.append(
            Heard(
                prediction,
                n_errors=after[row][0],
                n_errors_before=before[row][0],
                n_units=after[row][1],
                unit="characters" if by_character else "words",
                pieces=list(align(prediction.reference, prediction.hypothesis, prediction.language)),
                joined_with="" if by_character else " ",
            )
        )
    return heard


def align(reference: str, hypothesis: str, language: str) -> Iterator[Piece]:
    """The texts as written, word by word (character by character where there are no spaces), as jiwer aligns them."""
    by_character = written_without_spaces(language)
    aligned = (jiwer.process_characters if by_character else jiwer.process_words)(reference, hypothesis)
    joint = "" if by_character else " "
    said, heard = aligned.references[0], aligned.hypotheses[0]
    for chunk in aligned.alignments[0]:
        ours, theirs = said[chunk.ref_start_idx : chunk.ref_end_idx], heard[chunk.hyp_start_idx : chunk.hyp_end_idx]
        if chunk.type == "substitute":
            for one, other in zip(ours, theirs, strict=True):
                same = normalize(one, language) == normalize(other, language)
                yield Piece("minor" if same else "substitute", one, other)
            continue
        if chunk.type == "insert" and len(theirs) > MAX_EXTRA_WORDS:
            theirs = [*theirs[:MAX_EXTRA_WORDS], f" … (+{len(theirs) - MAX_EXTRA_WORDS})"]
        yield Piece(chunk.type, joint.join(ours), joint.join(theirs))


def _errors(predictions: Sequence[Prediction], column: str) -> list[tuple[int, int]]:
    """(errors, reference units) of each utterance, both normalised, in the unit of its language."""
    found = [(0, 0)] * len(predictions)
    for by_character in (False, True):
        rows = [row for row, one in enumerate(predictions) if written_without_spaces(one.language) == by_character]
        chosen = [predictions[row] for row in rows]
        table = edits(
            [normalize(one.reference, one.language) for one in chosen],
            [normalize(getattr(one, column), one.language) for one in chosen],
            by_character,
        )
        for row, counts in zip(rows, table.astype(int), strict=True):
            found[row] = (int(counts[:3].sum()), int(counts[3]))
    return found


def _scale(metrics: Metrics) -> float:
    """The largest rate that the bars of the languages show."""
    rates = [
        rate
        for language, scores in metrics["language"].items()
        for rate in (scores["baseline"][score_of(language)], (scores[f"{score_of(language)}_interval"] or [None])[-1])
    ]
    return max([rate for rate in rates if rate], default=1.0)


def _languages(metrics: Metrics) -> list[tuple[str, Metrics]]:
    """The languages with their scores, those with most words first."""
    return sorted(metrics["language"].items(), key=lambda item: -item[1]["n_words"])


def _pairs(metrics: Metrics) -> Iterator[pictures.Pair]:
    """A pair of bars for each language that has words to score."""
    for language, scores in _languages(metrics):
        name = score_of(language)
        if scores[name] is not None:
            before, after, interval = scores["baseline"][name], scores[name], scores[f"{name}_interval"]
            yield pictures.Pair(_language_name(language), before, after, interval)


def _language_name(code: str) -> str:
    return NAMES.get(code, code).title()


def _percent(rate: float | None, digits: int = 1) -> str:
    return "–" if rate is None else f"{100 * rate:.{digits}f}"


def _clock(duration_s: float) -> str:
    minutes, seconds = divmod(round(duration_s), 60)
    return f"{minutes}:{seconds:02d} min" if minutes else f"{seconds} s"


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": _percent, "language_name": _language_name, "clock": _clock, "score": score_of}
    return environment.get_template(PAGE)
