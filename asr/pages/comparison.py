"""Experiments on one test set -> a page that says which hears better, by how much, where, and what else differs.

`python -m asr.pages.comparison A B [C ...] [-o FILE]`: names of experiments, git revisions or folders of
reports. All are compared with the first, paired over the utterances.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from asr import params
from asr.errors import UserError
from asr.evaluate.verdict import DIFFERENCES, Kind, headline, kind, score_of
from asr.experiments.experiment import Experiment, find
from asr.experiments.paired import Pair, compare
from asr.pages import curve_comparison, pictures
from asr.pages.page import language_name, template
from asr.progress import say

PAGE = Path("data/comparison.html")


@dataclass(frozen=True)
class Cell:
    """A rate, and what the 95 % interval of its difference to the first experiment's is and allows to say."""

    rate: float | None
    difference: Sequence[float] | None = None
    kind: Kind = "unclear"


@dataclass(frozen=True)
class Row:
    """A group of utterances, and a cell for each experiment."""

    label: str
    score: str
    n_utterances: int
    cells: list[Cell]


def write(experiments: Sequence[Experiment], path: Path, choices: params.Evaluate) -> list[Pair]:
    """Write the page; returns what it tells of each experiment but the first.

    Raises `UserError` where the test sets differ.
    """
    first, *others = experiments
    pairs = [compare(first, other, choices) for other in others]
    with pictures.style():
        figure = curve_comparison.picture([(one.name, one.curve) for one in experiments])
        drawn = pictures.svg(figure, "Losses and word error rates of the trainings") if figure else ""
    page = template("comparison.html", points=_points).render(
        experiments=experiments,
        pairs=pairs,
        name=headline(pairs[0].scores),
        rows=list(rows(pairs)),
        params=differing_params(experiments),
        picture=Markup(drawn),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")
    return pairs


def differing_params(experiments: Sequence[Experiment]) -> dict[str, list[Any]]:
    """The params that are not the same in all, with each one's value; None where it has none."""
    names = dict.fromkeys(name for one in experiments for name in one.params)
    values = {name: [one.params.get(name) for one in experiments] for name in names}
    return {name: row for name, row in values.items() if any(value != row[0] for value in row)}


def rows(pairs: Sequence[Pair]) -> Iterator[Row]:
    """All utterances, those of each language, most words first, and those of each length."""
    scores = pairs[0].scores
    name = headline(scores)
    groups: list[tuple[str, str, tuple[str, ...]]] = [("All", name, ())]
    for code, _ in sorted(scores["language"].items(), key=lambda item: -item[1]["n_words"]):
        groups.append((language_name(code), score_of(code), ("language", code)))
    groups += [(f"{key.replace('_', ' ')} s", name, ("duration_s", key)) for key in scores["duration_s"]]
    for label, score, keys in groups:
        found = [_at(pair.scores, keys) for pair in pairs]
        others = [Cell(one[score], one[DIFFERENCES[score]], kind(one, score)) for one in found]
        yield Row(label, score, found[0]["n_utterances"], [Cell(found[0]["baseline"][score]), *others])


def _at(scores: Mapping[str, Any], keys: Sequence[str]) -> Mapping[str, Any]:
    for key in keys:
        scores = scores[key]
    return scores


def _points(difference: float) -> str:
    return f"{100 * difference:+.1f}".replace("-", "−")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m asr.pages.comparison", description="Compare experiments on a page")
    parser.add_argument("first", help="an experiment, a git revision, `workspace`, or a report's folder")
    parser.add_argument("others", nargs="+", metavar="other", help="the same, to compare with the first")
    parser.add_argument("-o", "--output", type=Path, default=PAGE, metavar="FILE", help=f"the page (default {PAGE})")
    arguments = parser.parse_args()
    try:
        experiments = [find(name) for name in (arguments.first, *arguments.others)]
        pairs = write(experiments, arguments.output, params.Evaluate())
    except UserError as error:
        sys.exit(f"error: {error}")
    for pair in pairs:
        say(f"{pair.title}: {pair.sentence}")
    say(f"page: {arguments.output}")


if __name__ == "__main__":
    main()
