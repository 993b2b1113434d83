"""A run's params, scores and checks -> the model card: README.md with the hub's metadata, and no path of this machine.

https://huggingface.co/docs/hub/model-cards says what the hub reads of it.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jinja2
from huggingface_hub import EvalResult, ModelCardData

from asr.evaluate.verdict import headline, verdict
from asr.exports import sentences
from asr.exports.heard import Check
from asr.params import Params
from asr.utterances import Split as SplitName

VERSIONS = ("transformers", "torch", "apache-beam", "mlflow", "ctranslate2")
SECTIONS = ("audio", "text", "features", "model", "train")  # whose params name no path but for model.checkpoint
TASK = "automatic-speech-recognition"


@dataclass(frozen=True)
class Split:
    name: SplitName
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
    environment.filters |= {
        "language_name": sentences.language,
        "percent": sentences.percent,
        "interval": sentences.interval,
    }
    metrics, base_id = facts.metrics, sentences.hub_id(facts.params.model.checkpoint)
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
        # transformers refuses both where a checkpoint knows English only
        generate={} if (base_id or "").endswith(".en") else {"language": facts.languages[0], "task": "transcribe"},
        window_words=sentences.window(facts.params.model.window_s),
        train=train,
        splits=facts.splits,
        source_words=sentences.sources(facts.params.data),
        trained_words=f"Of the train utterances {facts.n_trained:,} were trained on.",
        leak_words=sentences.leak(metrics),
        license_words=facts.params.export.license or "none is stated.",
        limits=list(sentences.limits(facts.params, metrics)),
        training_words=sentences.training(facts.run),
        params=dict(_params(facts.params)),
        provenance={key: value for key, value in _provenance(facts).items() if value},
    )
    return f"---\n{_metadata(facts, name).to_yaml()}\n---\n\n{body.rstrip()}\n"


def default_name(params: Params, languages: Sequence[str]) -> str:
    """As in whisper-base-sw."""
    base = sentences.hub_id(params.model.checkpoint)
    return "-".join([base.split("/")[1] if base else "whisper", *(languages if len(languages) <= 3 else ["finetuned"])])


def _metadata(facts: Facts, name: str) -> ModelCardData:
    export, metrics = facts.params.export, facts.metrics
    results = [
        EvalResult(
            task_type=TASK,
            dataset_type=export.datasets[0] if export.datasets else "own",
            dataset_name=sentences.language(code) if code else ", ".join(map(sentences.language, facts.languages)),
            dataset_config=code or "all",  # results that differ in nothing but the name would become one
            dataset_split="test",
            metric_type=score,
            metric_name=f"{score.upper()} ({sentences.window(facts.params.model.window_s)} window)",
            metric_value=round(100 * group[score], 2),
        )
        for code, group in [(None, metrics), *metrics["language"].items()]
        for score in ("wer", "cer")
        if group[score] is not None
    ]
    return ModelCardData(
        language=list(facts.languages),
        license=export.license,
        base_model=sentences.hub_id(facts.params.model.checkpoint),
        datasets=export.datasets or None,
        metrics=["wer", "cer"],
        library_name="transformers",
        pipeline_tag=TASK,
        tags=["whisper", "speech-recognition"],
        model_name=name,
        eval_results=results,
    )


def _params(params: Params) -> Iterator[tuple[str, str]]:
    """As params.yaml writes them, by dotted names, of what decided the training; what was not used apart."""
    unused = ["model.scratch."] if params.model.checkpoint != "scratch" else []
    unused += ["train.lora."] if not params.train.lora.rank else []
    for section in SECTIONS:
        for key, value in _flat(getattr(params, section).model_dump(), f"{section}."):
            is_private = key == "model.checkpoint" and not sentences.hub_id(str(value))
            if not is_private and not key.startswith(tuple(unused)):
                yield key, json.dumps(value, ensure_ascii=False)


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
