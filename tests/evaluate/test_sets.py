"""asr/evaluate/sets.py: further test sets, of corpora and of features made elsewhere."""

from dataclasses import replace
from pathlib import Path

import pytest

from asr.errors import UserError
from asr.evaluate.sets import adopt, as_test, listing
from asr.params import TestSet as Declared
from asr.shards import Index, read_examples, read_index, sha256_of, write_index
from asr.utterances import Rejected, Utterance
from tests.builders import example, write_features


@pytest.fixture
def base(tmp_path: Path) -> Path:
    folder = tmp_path / "base"
    folder.mkdir()
    (folder / "tokenizer.json").write_text("{}")
    return folder


def row(name: str, split: str | None) -> Utterance:
    return Utterance(name, f"{name}.wav", "Hola.", "es", split=split)  # type: ignore[arg-type]


def test_of_a_corpus_with_splits_the_test_split_is_used_and_rejects_stay() -> None:
    bad = Rejected("d", "empty text")
    rows = [row("a", "train"), row("b", "test"), row("c", "validation"), bad, row("e", None)]
    assert list(as_test(rows)) == [row("b", "test"), bad]


@pytest.mark.parametrize("split", [None, "train", "validation"])
def test_a_corpus_without_a_test_split_is_used_whole(split: str | None) -> None:
    assert list(as_test([row("a", split), row("b", split)])) == [row("a", "test"), row("b", "test")]
    assert list(as_test([])) == []


def test_of_a_mixture_each_corpus_gives_its_own_test_split_or_all() -> None:
    rows = [replace(row("a", "train"), source="x"), replace(row("b", "test"), source="x")]
    rows += [replace(row("c", None), source="y")]
    assert [found.id for found in as_test(rows)] == ["b", "c"]


def test_features_made_elsewhere_are_read_where_they_lie(tmp_path: Path, base: Path) -> None:
    rows = [example("a", text="Hola."), example("b", text="Adiós.")]
    write_features(tmp_path / "features", {"test": rows, "train": [example("c")]})
    adopt("radio", tmp_path / "features", base, tmp_path / "sets/radio")
    assert [row["id"] for row in read_examples(tmp_path / "sets/radio", "test")] == ["a", "b"]
    assert read_index(tmp_path / "sets/radio").splits.keys() == {"test"}
    assert [path.name for path in (tmp_path / "sets/radio").iterdir()] == ["index.json"]


def test_features_of_another_tokenizer_or_without_a_test_split_are_refused(tmp_path: Path, base: Path) -> None:
    features = tmp_path / "features"
    write_features(features, {"test": [example("a")]})
    index = replace(read_index(features), root=".")

    def said(changed: Index) -> str:
        write_index(features, changed)
        with pytest.raises(UserError) as refused:
            adopt("radio", features, base, tmp_path / "sets")
        return str(refused.value)

    assert "evaluate.sets.radio" in said(replace(index, tokenizer="0" * 64))
    assert "has no test rows" in said(replace(index, splits={"train": index.splits["test"]}))
    write_index(features, replace(index, tokenizer=sha256_of(base / "tokenizer.json")))
    adopt("radio", features, base, tmp_path / "sets")


def test_what_is_listed_changes_with_the_corpus_and_with_the_features(tmp_path: Path) -> None:
    table, features = tmp_path / "radio.csv", tmp_path / "features"
    table.write_text("audio,text\n")
    write_features(features, {"test": [example("a")]})
    sets = {
        "radio": Declared(source="table", table={"path": str(table)}),  # type: ignore[arg-type]
        "old": Declared(features=str(features)),
    }
    before = dict(listing(sets))
    assert before.keys() == {f"radio {table}", f"old {features / 'index.json'}"}
    table.write_text("audio,text\na.wav,Hola.\n")
    write_features(features, {"test": [example("b")]})
    after = dict(listing(sets))
    assert all(after[name] != version for name, version in before.items())
    assert list(listing({})) == []
