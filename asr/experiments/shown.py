"""Params, and scores by dotted names -> what MLflow shows of them: the table of runs, a run's page, its description."""

import re
from collections.abc import Mapping
from typing import Any, get_args

from asr.params import Data, Source

# Counts and shares of groups such as a language: metrics.json has them.
_DETAIL = re.compile(
    r".+\.(substitutions|insertions|deletions|n_empty_normalized|n_words|\w+_share)"
    r"|.+\.(cer|wer_normalized|difference_cer|difference_normalized)_interval\.(low|high)"
    r"|(.+\.)?(baseline|window_30s)\.n_utterances"
)
_HEADLINE = re.compile(
    r"(baseline\.|window_30s\.)?(wer|cer|wer_normalized)|(wer|difference)_interval\.(low|high)|n_utterances"
    r"|(language|source)\.[^.]+\.(wer|cer)|sets\.[^.]+\.(baseline\.)?(wer|cer)"
)


def params(choices: Mapping[str, Any]) -> dict[str, Any]:
    """Nested params without the sections that have no effect: of other sources, of a new model, of low-rank updates."""
    shown = {name: dict(section) for name, section in choices.items()}
    data, model, train = (shown.get(name, {}) for name in ("data", "model", "train"))
    shown["data"] = _with_effect(data)
    if parts := data.get("sources"):
        names = Data.model_validate({"sources": parts}).named_sources()
        shown["data"]["sources"] = {name: _with_effect(part) for name, part in zip(names, parts, strict=True)}
        del shown["data"]["source"]
    if model.get("checkpoint") != "scratch":
        model.pop("scratch", None)
    if "lora" in train and not train["lora"]["rank"]:
        train["lora"] = {"rank": 0}
    return shown


def _with_effect(corpus: Mapping[str, Any]) -> dict[str, Any]:
    """A corpus, or a mixture's params, without what is said of other layouts than its own."""
    own = None if corpus.get("sources") else corpus.get("source")
    idle = {*get_args(Source), "name"} - {own} | ({"sources"} if not corpus.get("sources") else {"path"})
    return {key: value for key, value in corpus.items() if key not in idle}


def scores(every: Mapping[str, float]) -> dict[str, float]:
    """Those of an evaluation's page: all but the details of its groups."""
    return {name: float(value) for name, value in every.items() if not _DETAIL.fullmatch(name)}


def headline(every: Mapping[str, float]) -> dict[str, float]:
    """Those of the training's row: error rates, overall and by language, before and after."""
    return {name: float(value) for name, value in every.items() if _HEADLINE.fullmatch(name)}


def note(every: Mapping[str, float]) -> str | None:
    """Error rates before and after in Markdown, a row a language and a corpus; None where they are not known."""
    if not {"wer", "baseline.wer"} <= every.keys():
        return None
    interval = ""
    if "wer_interval.low" in every:
        interval = f" (95 % interval {_percent(every, 'wer_interval.low')} to {_percent(every, 'wer_interval.high')})"
    lines = [
        f"**WER {_percent(every, 'baseline.wer')} → {_percent(every, 'wer')} %**{interval}",
        "",
        "| % | WER before | after | CER before | after |",
        "|---|---:|---:|---:|---:|",
    ]
    groups = [match for name in every if (match := re.fullmatch(r"((?:language|source)\.([^.]+)\.)wer", name))]
    for label, prefix in [("all", ""), *((group[2], group[1]) for group in groups)]:
        cells = [_percent(every, f"{prefix}{side}{score}") for score in ("wer", "cer") for side in ("baseline.", "")]
        lines.append(f"| {label} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _percent(every: Mapping[str, float], name: str) -> str:
    return f"{100 * every[name]:.1f}" if name in every else "–"
