"""A run's params, scores and checks -> the model card: README.md with the hub's metadata, and no path of this machine.

https://huggingface.co/docs/hub/model-cards says what the hub reads of it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jinja2
from huggingface_hub import EvalResult, ModelCardData

from asr.evaluate.outline import forgotten
from asr.evaluate.verdict import headline, verdict
from asr.exports.heard import Check
from asr.languages import NAMES
from asr.params import Data, Params

HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
FEW_WORDS = 500  # of a language, under which its rate says little
VERSIONS = ("transformers", "torch", "apache-beam", "mlflow", "ctranslate2")
SECTIONS = ("audio", "text", "features", "model", "train")  # whose params name no path but for model.checkpoint
TASK = "automatic-speech-recognition"


@dataclass(frozen=True)
class Split:
    name: str
    n_utterances: int
    hours: float


@dataclass(frozen=True)
class Facts:
    """What a card is made of: `metrics` as metrics.json, `run` as run.json, `checks` of each export by its format."""

    params: Params
    metrics: Mapping[str, Any]
    run: Mapping[str, Any]
    languages: Sequence[str]
    splits: Sequence[Split]
    n_trained: int
    checks: Mapping[str, Check]
    git_commit: str | None
    digests: Mapping[str, str | None]


def write(facts: Facts, folder: Path) -> None:
    """As README.md."""
    (folder / "README.md").write_text(card(facts), encoding="utf-8")


def card(facts: Facts) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"language_name": _language, "percent": _percent, "interval": _interval}
    metrics, base_id = facts.metrics, _hub_id(facts.params.model.checkpoint)
    train = next((split for split in facts.splits if split.name == "train"), Split("train", 0, 0.0))
    name = facts.params.export.name or default_name(facts.params, facts.languages)
    body = environment.get_template("card.md").render(
        name=name,
        place=name,
        base_id=base_id,
        base_words=f"[{base_id}](https://huggingface.co/{base_id})" if base_id else "A Whisper checkpoint",
        languages=facts.languages,
        metrics=metrics,
        rows=[*metrics["language"].items(), (None, metrics)],
        sets=metrics.get("sets", {}),
        verdict=verdict(metrics, headline(metrics)),
        score=headline(metrics),
        checks=facts.checks,
        generate={"language": facts.languages[0], "task": "transcribe"},
        window_words=_window(facts.params.model.window_s),
        train=train,
        splits=facts.splits,
        source_words=_sources(facts.params.data),
        trained_words=f"Of the train utterances {facts.n_trained:,} were trained on.",
        leak_words=_leak(metrics),
        license_words=facts.params.export.license or "none is stated.",
        limits=list(_limits(facts)),
        training_words=_training(facts.run),
        params=dict(_params(facts.params)),
        provenance={key: value for key, value in _provenance(facts).items() if value},
    )
    return f"---\n{_metadata(facts, name).to_yaml()}\n---\n\n{body.rstrip()}\n"


def default_name(params: Params, languages: Sequence[str]) -> str:
    """As in whisper-base-sw."""
    base = _hub_id(params.model.checkpoint)
    return "-".join([base.split("/")[1] if base else "whisper", *(languages if len(languages) <= 3 else ["finetuned"])])


def _metadata(facts: Facts, name: str) -> ModelCardData:
    export, metrics = facts.params.export, facts.metrics
    results = [
        EvalResult(
            task_type=TASK,
            dataset_type=export.datasets[0] if export.datasets else "own",
            dataset_name=_language(code) if code else ", ".join(map(_language, facts.languages)),
            dataset_split="test",
            metric_type=score,
            metric_name=f"{score.upper()} ({_window(facts.params.model.window_s)} window)",
            metric_value=round(100 * group[score], 2),
        )
        for code, group in [(None, metrics), *metrics["language"].items()]
        for score in ("wer", "cer")
        if group[score] is not None
    ]
    return ModelCardData(
        language=list(facts.languages),
        license=export.license,
        base_model=_hub_id(facts.params.model.checkpoint),
        datasets=export.datasets or None,
        metrics=["wer", "cer"],
        library_name="transformers",
        pipeline_tag=TASK,
        tags=["whisper", "speech-recognition"],
        model_name=name,
        eval_results=results,
    )


def _limits(facts: Facts) -> Iterator[str]:
    metrics, window_s = facts.metrics, facts.params.model.window_s
    if window_s != 30:
        yield (
            f"It was trained on windows of {_window(window_s)}. Speech that is longer has to be cut at pauses, or "
            "heard at 30 s."
        )
    small = [_language(code) for code, group in metrics["language"].items() if (group["n_words"] or 0) < FEW_WORDS]
    if small:
        yield f"Few test words (under {FEW_WORDS}) in {', '.join(small)}: their rates are rough."
    looping = metrics.get("looping_share") or 0
    if looping:
        yield f"It repeated itself in {100 * looping:.1f} % of the test utterances."
    worse = [f"{line}" for line in forgotten(metrics)]
    yield from worse
    if facts.params.text.lowercase or facts.params.text.remove_punctuation:
        yield "It writes as it was trained to: without capitals or punctuation."
    if not metrics.get("sets"):
        yield "What it has forgotten of other domains and languages was not measured."
    yield "The test split is of the same corpus as the training: expect more errors with other microphones and rooms."


def _sources(data: Data) -> str:
    parts = data.named_sources().values() if data.sources else [data]
    words = []
    for part in parts:
        hub = _hub_id(part.huggingface.path or "") if part.source == "huggingface" else None
        words.append(
            f"[{hub}](https://huggingface.co/datasets/{hub})" if hub else SOURCES.get(part.source, part.source)
        )
    return f"The speech comes from {' and '.join(dict.fromkeys(words))}."


SOURCES = {
    "table": "the authors' own recordings",
    "synthetic": "a speech synthesiser (eSpeak NG)",
    "tuxpaint": "Tux Paint's recorded descriptions",
    "common_voice": "Common Voice",
    "fleurs": "FLEURS",
    "librispeech": "LibriSpeech",
    "ljspeech": "LJ Speech",
    "aishell": "AISHELL-1",
    "huggingface": "a dataset of their own",
}


def _leak(metrics: Mapping[str, Any]) -> str:
    """What the test split has in common with what was trained on."""
    leak = metrics.get("leak")
    if not leak:
        return ""
    words = f"Of the {leak['n_texts']:,} test texts {leak['n_texts_in_train']:,} are among those trained on"
    if leak["n_speakers"]:
        return f"{words}, of the {leak['n_speakers']:,} known test speakers {leak['n_speakers_in_train']:,}."
    return f"{words}; speakers are unknown."


def _training(run: Mapping[str, Any]) -> str:
    told = run["training"]
    return (
        f"{told['steps']:,} steps, {told['epochs']:.1f} epochs, in {told['precision']} on {told['processes']} "
        f"device{'s' if told['processes'] > 1 else ''}."
    )


def _params(params: Params) -> Iterator[tuple[str, Any]]:
    """By dotted names, of the sections that say how it was trained."""
    for section in SECTIONS:
        for key, value in _flat(getattr(params, section).model_dump(), f"{section}."):
            if key != "model.checkpoint" or _hub_id(str(value)):
                yield key, value


def _flat(content: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in content.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _provenance(facts: Facts) -> dict[str, str | None]:
    commit = facts.git_commit and facts.git_commit.removesuffix("-dirty")
    ids = {"git commit": commit, "MLflow run": facts.run["run"]["run_id"]}
    digests = {f"DVC, {name}": digest for name, digest in facts.digests.items()}
    return ids | digests | {name: version(name) for name in VERSIONS}


def _hub_id(name: str) -> str | None:
    """The id, if it is one and no folder."""
    return name if HUB_ID.fullmatch(name) and not Path(name).exists() else None


def _language(code: str) -> str:
    return NAMES.get(code, code).title()


def _percent(rate: float | None, digits: int = 1) -> str:
    return "–" if rate is None else f"{100 * rate:.{digits}f}"


def _interval(interval: Sequence[float] | None) -> str:
    return f"{100 * interval[0]:.1f} to {100 * interval[1]:.1f}" if interval else "–"


def _window(window_s: int) -> str:
    return f"{window_s} s" if window_s else "the clip's own length"
