"""asr/selection/selection.py: the weights of train rows, and files that remember which features they are of."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from asr.corpora.rejects import read_rejects
from asr.corpora.shares import Share
from asr.errors import UserError
from asr.params import Clean
from asr.selection import files
from asr.selection.filters import Row
from asr.selection.selection import Rules, all_of, select
from asr.shards import read_index
from tests.builders import example, write_features

QUIET = Clean(min_rms_dbfs=-50)


def row(name: str, rms: float = 0.1, source: str | None = None, duration_s: float = 3.6) -> Row:
    return Row(name, f"Text of {name}.", "Text.", "en", duration_s, source, rms, 0.0, 0.01, 0.01, name)


def test_what_is_set_aside_has_no_weight_and_a_reason() -> None:
    chosen = select([row("a"), row("b", rms=0.0001), row("c")], Rules(clean=QUIET))
    assert chosen.weights.tolist() == [1, 0, 1]
    assert [(why.id, why.reason) for why in chosen.set_aside] == [("b", "too quiet")]
    assert str(chosen) == "train: 2 of 3 utterances, 0.00 hours; set aside: 1 too quiet"


def test_by_default_all_rows_stay() -> None:
    chosen = select([row(str(n)) for n in range(1000)], Rules())
    assert (chosen.weights == 1).all() and chosen.set_aside == []
    assert str(chosen) == "train: all 1,000 utterances, 1.00 hours"
    assert select([], Rules()).n_kept == 0


def test_where_nothing_is_declared_the_rows_need_not_be_looked_at() -> None:
    rows = [row(str(n)) for n in range(10)]
    looked_at, not_looked_at = select(rows, Rules()), all_of([one.id for one in rows], [one.duration_s for one in rows])
    assert str(looked_at) == str(not_looked_at) and looked_at.ids == not_looked_at.ids
    assert (looked_at.weights == not_looked_at.weights).all()
    assert Rules(suffixes=["~0.9"], max_rate=0.1).keep_all
    for rules in (Rules(clean=QUIET), Rules(rates={"a": 1.0}), Rules(shares={"a": Share(1.0, None)})):
        assert not rules.keep_all


def test_copies_go_with_their_utterance_and_only_with_it() -> None:
    rows = [row("a"), row("a~0.9", rms=0.0001), row("b", rms=0.0001), row("b~0.9"), row("b~noise")]
    chosen = select(rows, Rules(clean=QUIET, suffixes=["~0.9", "~noise"]))
    assert chosen.weights.tolist() == [1, 1, 0, 0, 0]
    assert [why.id for why in chosen.set_aside] == ["b", "b~0.9", "b~noise"]


def test_a_copy_whose_utterance_was_rejected_is_judged_by_itself() -> None:
    rows = [row("a"), row("long~1.1", rms=0.0001), row("other~1.1")]
    assert select(rows, Rules(clean=QUIET, suffixes=["~1.1"])).weights.tolist() == [1, 0, 1]


def test_a_row_is_counted_once_for_its_first_reason() -> None:
    rules = Rules(clean=Clean(min_rms_dbfs=-50, audio_copies=1), rates={"a": 1.0}, max_rate=0.5)
    assert select([row("a", rms=0), row("b")], rules).reasons == {"too quiet": 1}


def test_hours_are_filled_from_what_remains() -> None:
    rows = [row(f"x/{n}", source="x", rms=0.1 if n % 2 else 0.0) for n in range(2000)]
    rows += [row(f"y/{n}", source="y") for n in range(10)]
    shares = {"x": Share(2.0, 0.5), "y": Share(1.0, None)}
    chosen = select(rows, Rules(clean=QUIET, shares=shares))
    assert chosen.reasons == {"too quiet": 1000, "over max_hours": 500}
    assert chosen.hours == pytest.approx(0.51)
    assert sorted(set(chosen.weights.tolist())) == [0, 1, 2]


def test_nothing_left_is_an_error_that_says_why() -> None:
    with pytest.raises(UserError, match=r"^all 2 train rows are set aside: 2 too quiet; loosen data\.clean"):
        select([row("a", rms=0), row("b", rms=0)], Rules(clean=QUIET))


def written(folder: Path, weights: list[float]) -> Path:
    """A selection of features with as many train rows."""
    rows = [example(str(n), 0.1) for n in range(len(weights))]
    write_features(folder / "features", {"train": rows})
    index = read_index(folder / "features")
    chosen = select([row(str(n), rms=weight) for n, weight in enumerate(weights)], Rules(clean=QUIET))
    ids = [str(n) for n in range(len(weights))]
    files.write(folder / "selection", ids, np.array(weights), chosen.set_aside, index)
    return folder / "selection"


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    folder = written(tmp_path, [0.0, 1.0, 2.0])
    chosen = files.read(folder, read_index(tmp_path / "features"))
    assert chosen.weights is not None and chosen.weights.tolist() == [0, 1, 2] and chosen.n_rows == 2
    assert [why.id for why in read_rejects(folder, files.SET_ASIDE)] == ["0"]


def test_another_test_split_makes_no_other_selection(tmp_path: Path) -> None:
    folder = written(tmp_path, [0.0, 1.0])
    index = replace(read_index(tmp_path / "features"), fingerprint="f" * 16, rejected=3)
    assert files.read(folder, index).n_rows == 1


def test_equal_weights_are_none(tmp_path: Path) -> None:
    chosen = files.read(written(tmp_path, [2.0, 2.0]), read_index(tmp_path / "features"))
    assert (chosen.weights, chosen.n_rows) == (None, 2)


def test_a_selection_of_other_features_is_refused(tmp_path: Path) -> None:
    folder = written(tmp_path, [1.0, 2.0])
    write_features(tmp_path / "more", {"train": [example(str(n), 0.1) for n in range(3)]})
    with pytest.raises(UserError, match="is the selection of other features; run `dvc repro -f selection`"):
        files.read(folder, read_index(tmp_path / "more"))
    with pytest.raises(UserError, match="no such file; run `dvc repro selection`"):
        files.read(tmp_path / "none", read_index(tmp_path / "more"))
