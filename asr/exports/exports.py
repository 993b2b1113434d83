"""A finished run -> the directories that export.formats asks for, each heard on the test split and with a card."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from asr.evaluate.hearing import hear_split
from asr.evaluate.predictions import PREDICTIONS, Prediction
from asr.experiments.provenance import dvc_digest, git_commit
from asr.exports import card
from asr.exports.adapter import write_adapter
from asr.exports.checkpoint import write_ctranslate2, write_hub
from asr.exports.heard import Check, check, hear_adapter, hear_ctranslate2
from asr.exports.sentences import hub_id
from asr.models.whisper import MAX_WINDOW_S, trained_window_s
from asr.params import Params
from asr.progress import say
from asr.selection import files
from asr.shards import hours, read_columns, read_index
from asr.utterances import SPLITS

HUB = "hub"


@dataclass(frozen=True)
class Run:
    """Where the outputs of a run lie."""

    model: Path
    base: Path
    features: Path
    selection: Path
    report: Path
    run_file: Path


def export(run: Run, choices: Params, folder: Path) -> dict[str, dict[str, Any]]:
    """Fills `folder`, a directory for each format; what each was measured as.

    Raises `UserError` where one of them hears otherwise than the run: its score outside of the run's own interval.
    """
    predictions = _predictions(run.report)
    languages = sorted(set(read_columns(run.features, "train", ["language"])["language"].to_pylist()))
    formats, hub = choices.export.formats, folder / HUB
    checks: dict[str, Check] = {}
    write_hub(run.model, hub, languages)  # CTranslate2 converts this one
    for name in formats:
        checks[name] = _made(name, run, choices, folder, predictions)
        say(_told(name, checks[name]))
        checks[name].require(f"export {name}")
    facts = _facts(run, choices, languages, checks)
    for name in formats:
        card.write(facts, folder / name)
    if HUB not in formats:
        for path in hub.iterdir():
            path.unlink()
        hub.rmdir()
    return {name: asdict(of) for name, of in checks.items()}


def _made(name: str, run: Run, choices: Params, folder: Path, predictions: list[Prediction]) -> Check:
    """Writes one of the formats, `hub` apart, and hears it."""
    window_s, chosen, place = trained_window_s(run.model), choices.evaluate, folder / name
    heard_at_s = window_s
    if name == HUB:
        heard = hear_split(place, run.features, window_s, chosen, "hub").hypotheses
    elif name == "lora":
        name_of_base = hub_id(choices.model.checkpoint) or "the base checkpoint"  # never a path of this machine
        write_adapter(run.base, run.model, place, name_of_base, list(choices.train.lora.modules))
        heard = hear_adapter(run.base, place, run.features, window_s, chosen)
    else:
        heard_at_s = MAX_WINDOW_S  # faster-whisper knows no other
        write_ctranslate2(folder / HUB, place, name.removeprefix("ctranslate2-"))
        heard = hear_ctranslate2(place, run.features, heard_at_s, chosen, name)
    return check(heard, predictions, heard_at_s, window_s, chosen)


def _told(name: str, of: Check) -> str:
    low, high = of.interval
    return (
        f"{name}: {of.score.upper()} {of.rate:.2%} at {of.window_s or 'own'} s (the run's own: {low:.1%} to {high:.1%})"
    )


def _facts(run: Run, choices: Params, languages: list[str], checks: Mapping[str, Check]) -> card.Facts:
    index = read_index(run.features)
    return card.Facts(
        params=choices,
        metrics=json.loads((run.report / "metrics.json").read_text(encoding="utf-8")),
        run=json.loads(run.run_file.read_text(encoding="utf-8")),
        languages=languages,
        splits=[
            card.Split(name, index.rows(name), hours(run.features, name)) for name in SPLITS if name in index.splits
        ],
        n_trained=files.read(run.selection, index).n_rows,
        checks=checks,
        git_commit=git_commit(),
        digests={"features": dvc_digest(run.features), "checkpoint": dvc_digest(run.model)},
    )


def _predictions(report: Path) -> list[Prediction]:
    known = Prediction.__dataclass_fields__
    rows = pq.read_table(report / PREDICTIONS).to_pylist()
    return [Prediction(**{name: value for name, value in row.items() if name in known}) for row in rows]
