"""metrics.json -> the lines that a person reads on the terminal."""

from collections.abc import Mapping
from typing import Any

from asr.evaluate.normalize import written_without_spaces

Scores = Mapping[str, Any]


def outline(scores: Scores) -> str:
    """Before and after in a small table: a row a language, a corpus of a mixture, one over all, a further test set."""
    rows = [*scores["language"].items(), *scores.get("source", {}).items(), ("all", scores)]
    rows += scores.get("sets", {}).items()
    width = max(9, *(len(name) + 1 for name, _ in rows))
    lines = [
        f"{'':<{width}}{'utterances':>10}{'WER before':>12}{'after':>8}   {'95 % interval':<18}"
        f"{'CER before':>10}{'after':>8}"
    ]
    for name, group in rows:
        interval = " to ".join(map(_percent, group["wer_interval"] or [None, None]))
        wer_before, cer_before = (_percent(group["baseline"][score]) for score in ("wer", "cer"))
        lines.append(
            f"{name:<{width}}{group['n_utterances']:>10,}{wer_before:>12}{_percent(group['wer']):>8}   {interval:<18}"
            f"{cer_before:>10}{_percent(group['cer']):>8}"
        )
    before, after = _percent(scores["baseline"]["wer_normalized"]), _percent(scores["wer_normalized"])
    lines.append(f"WER without capitals and punctuation: {before} before, {after} after")
    return "\n".join(lines)


def forgotten(scores: Scores) -> list[str]:
    """A line for each further test set that the tuned model hears significantly worse than the base checkpoint.

    By the score that leads for its languages: CER if all are written without spaces, else WER.
    """
    lines = []
    for name, group in scores.get("sets", {}).items():
        score = "cer" if all(map(written_without_spaces, group["language"])) else "wer"
        interval = group["difference_interval" if score == "wer" else "difference_cer_interval"]
        if interval is not None and interval[0] > 0:
            low, high = (f"{100 * bound:+.1f}" for bound in interval)
            lines.append(
                f"{name}: {score.upper()} rose from {_percent(group['baseline'][score])} to {_percent(group[score])} "
                f"({low} to {high} points): what the base checkpoint knew was forgotten; see docs/evaluation.md"
            )
    return lines


def _percent(rate: float | None) -> str:
    return "-" if rate is None else f"{rate:.1%}"
