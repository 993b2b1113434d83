"""What a run knows of itself -> the sentences and figures of its model card, without a path of this machine."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from asr.evaluate.outline import forgotten
from asr.languages import NAMES
from asr.params import Data, Params

HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
FEW_WORDS = 500  # of a language, under which its rate says little


def sources(data: Data) -> str:
    """Where the speech comes from."""
    parts = data.named_sources().values() if data.sources else [data]
    words = []
    for part in parts:
        hub = hub_id(part.huggingface.path or "") if part.source == "huggingface" else None
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


def leak(metrics: Mapping[str, Any]) -> str:
    """What the test split has in common with what was trained on."""
    shared = metrics.get("leak")
    if not shared:
        return ""
    words = f"Of the {shared['n_texts']:,} test texts {shared['n_texts_in_train']:,} are among those trained on"
    if shared["n_speakers"]:
        return f"{words}, of the {shared['n_speakers']:,} known test speakers {shared['n_speakers_in_train']:,}."
    return f"{words}; speakers are unknown."


def training(run: Mapping[str, Any]) -> str:
    """How long it was trained, of a run.json."""
    told = run["training"]
    return (
        f"{told['steps']:,} steps, {told['epochs']:.1f} epochs, in {told['precision']} on {told['processes']} "
        f"device{'s' if told['processes'] > 1 else ''}."
    )


def limits(params: Params, metrics: Mapping[str, Any]) -> Iterator[str]:
    """What a user of the checkpoint should not expect of it."""
    window_s = params.model.window_s
    if window_s != 30:
        yield (
            f"It was trained on windows of {window(window_s)}. Speech that is longer has to be cut at pauses, or "
            "heard at 30 s."
        )
    small = [language(code) for code, group in metrics["language"].items() if (group["n_words"] or 0) < FEW_WORDS]
    if small:
        yield f"Few test words (under {FEW_WORDS}) in {', '.join(small)}: their rates are rough."
    looping = metrics.get("looping_share") or 0
    if looping:
        yield f"It repeated itself in {100 * looping:.1f} % of the test utterances."
    worse = [f"{line}" for line in forgotten(metrics)]
    yield from worse
    if params.text.lowercase or params.text.remove_punctuation:
        yield "It writes as it was trained to: without capitals or punctuation."
    if not metrics.get("sets"):
        yield "What it has forgotten of other domains and languages was not measured."
    yield "The test split is of the same corpus as the training: expect more errors with other microphones and rooms."


def hub_id(name: str) -> str | None:
    """The id, if it is one and no folder."""
    return name if HUB_ID.fullmatch(name) and not Path(name).exists() else None


def language(code: str) -> str:
    return NAMES.get(code, code).title()


def percent(rate: float | None, digits: int = 1) -> str:
    return "–" if rate is None else f"{100 * rate:.{digits}f}"


def interval(interval: Sequence[float] | None) -> str:
    return f"{100 * interval[0]:.1f} to {100 * interval[1]:.1f}" if interval else "–"


def window(window_s: int) -> str:
    return f"{window_s} s" if window_s else "the clip's own length"
