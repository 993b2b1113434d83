"""Scores, predictions and what they came from -> report.html, one page that needs no network, and its pictures."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from markupsafe import Markup

from asr.evaluate.failures import FAILURES
from asr.evaluate.predictions import Prediction
from asr.evaluate.verdict import Metrics, headline, score_of, verdict, warnings
from asr.pages import pictures, training_curve
from asr.pages.charts import charts, scale
from asr.pages.page import language_name, template
from asr.pages.players import players
from asr.pages.worst import worst

DPI = 160  # of the pictures: 1,200 pixels for 7.5 inches
PAGE, BARS, CURVE = "report.html", "wer_by_language.png", "training_curve.png"
N_WORST = 20


@dataclass(frozen=True)
class Context:
    """What the numbers came from; what is left empty is left out of the page.

    `corpus` has n_utterances and hours of each split, `rejects` the count of each reason, `set_aside` the same of train
    utterances that were not trained on, `curve` points with `step`
    and values of the training's curves, `chosen_steps` those whose weights were kept, `digests` DVC's digest of each
    input by its name.
    """

    params: Mapping[str, Any]
    git_commit: str | None = None
    run_id: str | None = None
    rejects: Mapping[str, int] = field(default_factory=dict)
    set_aside: Mapping[str, int] = field(default_factory=dict)
    corpus: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    curve: Sequence[Mapping[str, float]] = ()
    chosen_steps: Sequence[int] = ()
    digests: Mapping[str, str | None] = field(default_factory=dict)


def write(
    folder: Path,
    metrics: Metrics,
    predictions: Sequence[Prediction],
    context: Context,
    manifest: Path | None = None,
) -> None:
    """Write the page and its pictures into `folder`; a picture of the curve only where there is a curve.

    The worst utterances can be heard where `manifest` names their audio and it can still be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = headline(metrics)
    misheard = worst(predictions, N_WORST)
    drawn = list(charts(metrics))
    page = template(PAGE, count=_count, counted=_counted).render(
        metrics=metrics,
        context=context,
        name=name,
        verdict=verdict(metrics, name),
        warnings=warnings(metrics),
        languages=_languages(metrics),
        charts=drawn,
        scale=scale(drawn),
        failures=FAILURES,
        curves=_pictures(folder, metrics, context),
        worst=misheard,
        players=players(manifest, [one.prediction.id for one in misheard]) if manifest else {},
        params=yaml.safe_dump(dict(context.params), sort_keys=False, allow_unicode=True),
    )
    (folder / PAGE).write_text(page, encoding="utf-8")


def _pictures(folder: Path, metrics: Metrics, context: Context) -> dict[str, Markup]:
    """Draws the files; returns the training's curves to stand in the page, as `wide` and `narrow` screens need them."""
    with pictures.style():
        pictures.bars(list(_pairs(metrics))).savefig(folder / BARS, dpi=DPI)
        if not context.curve:
            return {}
        drawn = {
            size: training_curve.picture(context.curve, context.chosen_steps, size) for size in training_curve.SIZES
        }
        drawn["wide"].savefig(folder / CURVE, dpi=DPI)
        label = "Losses, word error rate and learning rate of the training"
        return {size: Markup(pictures.svg(figure, label)) for size, figure in drawn.items()}


def _languages(metrics: Metrics) -> list[tuple[str, Metrics]]:
    """The languages with their scores, those with most words first."""
    return sorted(metrics["language"].items(), key=lambda item: -item[1]["n_words"])


def _pairs(metrics: Metrics) -> Iterator[pictures.Pair]:
    """What the picture shows of each language, by its leading score."""
    for language, scores in _languages(metrics):
        name = score_of(language)
        if scores[name] is not None:
            label = language_name(language) + (" (CER)" if name == "cer" else "")
            yield pictures.Pair(label, scores["baseline"][name], scores[name], tuple(scores[f"{name}_interval"]))


def _count(number: float) -> str:
    return f"{number:,.0f}"


def _counted(number: float, noun: str) -> str:
    """As in "1 clip" and "1,200 clips"."""
    return f"{number:,.0f} {noun}{'' if number == 1 else 's'}"
