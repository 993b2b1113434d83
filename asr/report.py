"""Scores, predictions and what they came from -> report.html, one page that needs no network, and its pictures."""

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import jinja2
import jiwer
import matplotlib
import yaml
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from asr.languages import NAMES
from asr.normalize import normalize, written_without_spaces
from asr.predictions import Prediction
from asr.scoring import edits

PAGE, BARS, CURVE = "report.html", "wer_by_language.png", "training_curve.png"
N_WORST = 20
MIN_UTTERANCES = 30  # under this, the interval of a bootstrap is too narrow to found a verdict on
MAX_MARKED = 30  # points of a curve; more are drawn as a line alone
MAX_EXTRA_WORDS = 12  # a loop can add hundreds of words; so many of them are shown in a row

# The pictures' colours; on the page each becomes a variable, so that light and dark can set it (report.html).
INK, FAINT, BEFORE, AFTER = "#1d2129", "#c9ced6", "#9aa3b0", "#0f766e"
_VARIABLES = {INK: "var(--ink)", FAINT: "var(--line)", BEFORE: "var(--before)", AFTER: "var(--after)"}
_DIFFERENCES = {"wer": "difference_interval", "cer": "difference_cer_interval"}

Metrics = Mapping[str, Any]


@dataclass(frozen=True)
class Context:
    """What the numbers came from; what is left empty is left out of the page.

    `corpus` has n_utterances and hours of each split, `rejects` the count of each reason, `curve` points with `step`
    and train_loss or validation_loss, `durations_s` the seconds of each stage.
    """

    params: Mapping[str, Any]
    git_commit: str | None = None
    run_id: str | None = None
    rejects: Mapping[str, int] = field(default_factory=dict)
    corpus: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    curve: Sequence[Mapping[str, float]] = ()
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
    with matplotlib.rc_context({"font.size": 10, "svg.fonttype": "none", "svg.hashsalt": "report"}):
        _bars(metrics).savefig(folder / BARS, dpi=160)
        curve = _curve(context.curve)
        if curve:
            curve.savefig(folder / CURVE, dpi=160)
        picture = _svg(curve) if curve else ""
    name = headline(metrics)
    page = _template().render(
        metrics=metrics,
        context=context,
        name=name,
        verdict=verdict(metrics, name),
        languages=sorted(metrics["language"].items(), key=lambda item: -item[1]["n_words"]),
        scale=_scale(metrics),
        picture=Markup(picture),
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


def _bars(metrics: Metrics) -> Figure:
    """A pair of bars for each language, before and after, with the interval of after."""
    languages = sorted(metrics["language"].items(), key=lambda item: item[1]["n_words"])
    figure = Figure(figsize=(6, 0.9 + 0.5 * len(languages)), layout="constrained")
    axes = figure.add_subplot()
    for row, (language, scores) in enumerate(languages):
        name = score_of(language)
        before, after, interval = scores["baseline"][name], scores[name], scores[f"{name}_interval"]
        if after is None:
            continue
        axes.barh(row + 0.19, 100 * before, 0.34, color=BEFORE, label="before")
        axes.barh(row - 0.19, 100 * after, 0.34, color=AFTER, label="after")
        axes.plot([100 * edge for edge in interval], [row - 0.19] * 2, color=INK, linewidth=1.2)
        axes.annotate(
            f"{100 * before:.1f}", (100 * before, row + 0.19), (4, 0), textcoords="offset points", va="center"
        )
        edge = 100 * max(after, interval[1])
        axes.annotate(f"{100 * after:.1f}", (edge, row - 0.19), (4, 0), textcoords="offset points", va="center")
    axes.set_yticks(range(len(languages)), [_language_name(language) for language, _ in languages])
    axes.set_xlabel("wrong words (characters where no spaces are written), %")
    axes.margins(x=0.1)
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles[:2], labels[:2], loc="outside upper right", ncols=2, frameon=False)
    _quiet(axes)
    return figure


def _curve(points: Sequence[Mapping[str, float]]) -> Figure | None:
    """Both losses over the steps; None without any."""
    series = {
        label: [(point["step"], point[key]) for point in points if key in point]
        for label, key in (("train", "train_loss"), ("validation", "validation_loss"))
    }
    if not any(series.values()):
        return None
    figure = Figure(figsize=(5, 2.5), layout="constrained")
    axes = figure.add_subplot()
    for (label, line), colour in zip(series.items(), (BEFORE, AFTER), strict=True):
        if line:
            steps, losses = zip(*line, strict=True)
            marker = "o" if len(line) < MAX_MARKED else ""
            axes.plot(steps, losses, color=colour, linewidth=1.6, label=label, marker=marker, markersize=3)
    axes.set_xlabel("step")
    axes.set_ylabel("loss a token")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, labelcolor=INK)
    axes.grid(axis="y", color=FAINT, linewidth=0.5)
    _quiet(axes)
    return figure


def _quiet(axes: Axes) -> None:
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(FAINT)
    axes.tick_params(length=0, colors=INK)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)
    axes.set_axisbelow(True)


def _svg(figure: Figure) -> str:
    """The figure to stand inside a page: it scales with it, and takes its font and colours."""
    text = io.StringIO()
    figure.savefig(text, format="svg", transparent=True)
    svg = text.getvalue().partition("<svg")[2]
    svg = re.sub(r'^[^>]*?(viewBox="[^"]+")[^>]*>', r'<svg \1 role="img" aria-label="The losses of the training">', svg)
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL).replace("xlink:href", "href")
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, variable)
    return svg


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
