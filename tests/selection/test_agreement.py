"""asr/selection/agreement.py: what the base checkpoint hears, once for each utterance, also after a kill."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from asr.selection import agreement, heard
from asr.selection.agreement import compared
from tests.builders import example, write_features

ROWS = [example(name, 0.3, text="Hello there.", trained_text="Hello there.") for name in ("a", "a~0.9", "b", "c")]


@pytest.fixture
def features(tmp_path: Path) -> Path:
    write_features(tmp_path / "features", {"train": ROWS, "test": ROWS[:1]}, rows_per_shard=2)
    return tmp_path / "features"


def test_errors_are_of_words_without_case_and_punctuation_or_of_characters() -> None:
    said = {"a": ("en", "A cat, sleeping."), "b": ("zh", "你好嗎"), "c": ("en", "?")}
    rows = [{"id": name, "language": language, "trained_text": text} for name, (language, text) in said.items()]
    table = compared(rows, {"a": "a cat sleeps", "b": "你好吗", "c": "what"})
    assert table["errors"].to_pylist() == [1, 1, 1]
    assert table["units"].to_pylist() == [3, 3, 0]
    assert table["hypothesis"].to_pylist() == ["a cat sleeps", "你好吗", "what"]


def test_every_utterance_of_train_is_heard_once_and_no_copy(tmp_path: Path, features: Path, scratch: Path) -> None:
    agreement.hear(scratch, features, tmp_path / "out", tmp_path / "work", "float32", ["~0.9"])
    found = pq.read_table(tmp_path / "out" / heard.HEARD).to_pydict()
    assert found["id"] == ["a", "b", "c"]
    assert found["units"] == [2, 2, 2]
    assert heard.read_rates(tmp_path / "out").keys() == {"a", "b", "c"}


def test_a_killed_run_goes_on_with_the_shard_that_it_was_at(
    tmp_path: Path, features: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = (features, tmp_path / "out", tmp_path / "work", "float32", ["~0.9"])
    shards: list[str] = []
    heard_in = agreement._heard_in

    def killed(*arguments):  # type: ignore[no-untyped-def]
        shards.append(arguments[2].name)
        if shards == ["train/00000.parquet", "train/00001.parquet"]:
            raise KeyboardInterrupt
        return heard_in(*arguments)

    monkeypatch.setattr(agreement, "_heard_in", killed)
    with pytest.raises(KeyboardInterrupt):
        agreement.hear(scratch, *places)
    assert not (tmp_path / "out").exists()
    agreement.hear(scratch, *places)
    assert shards == ["train/00000.parquet", "train/00001.parquet", "train/00001.parquet"]
    again = pq.read_table(tmp_path / "out" / heard.HEARD)
    agreement.hear(scratch, features, tmp_path / "whole", tmp_path / "other", "float32", ["~0.9"])
    assert pq.read_table(tmp_path / "whole" / heard.HEARD).equals(again)


def test_where_nobody_listened_no_row_has_a_rate(tmp_path: Path) -> None:
    heard.write_nothing(tmp_path)
    assert heard.read_rates(tmp_path) == {}
