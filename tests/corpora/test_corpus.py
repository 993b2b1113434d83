from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.corpora import corpus, manifest, sieve
from asr.corpora.rejects import read_rejects
from asr.errors import UserError
from asr.params import Data, Split
from asr.utterances import Rejected, Utterance

DATA = Data(split=Split(validation=0.2, test=0.3))


def utterance(n: int, **fields: object) -> Utterance:
    row = Utterance(f"u{n}", f"{n}.wav", f"text {n}", "en", duration_s=1.5, source_bytes=10)
    return replace(row, **fields)  # type: ignore[arg-type]


ROWS = [utterance(n) for n in range(10)]


def reasons(folder: Path) -> list[tuple[str, str]]:
    return [(row.id, row.reason) for row in read_rejects(folder)]


def test_what_is_written_is_read_back_in_its_order(tmp_path: Path) -> None:
    rows = [utterance(n, split=("train", "validation", "test")[n % 3], duration_s=None, speaker="s") for n in range(9)]
    corpus.write(rows, tmp_path, DATA)
    assert list(manifest.read(tmp_path)) == rows


def test_the_columns_are_those_of_the_contract(tmp_path: Path) -> None:
    corpus.write(ROWS, tmp_path, DATA)
    names = "id audio start_s duration_s timed text language split speaker source_bytes row source"
    assert pq.read_schema(tmp_path / manifest.MANIFEST).names == names.split()


def test_every_row_has_a_split(tmp_path: Path) -> None:
    corpus.write(ROWS, tmp_path, DATA)
    assert (
        sorted(str(row.split) for row in manifest.read(tmp_path)) == ["test"] * 3 + ["train"] * 5 + ["validation"] * 2
    )


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        corpus.write([*ROWS, Rejected("x", "missing audio")], tmp_path / name, DATA)
    for file in ("manifest.parquet", "rejects.parquet"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (utterance(10, text=" \n"), "empty text"),
        (utterance(10, text="caf\udce9"), "undecodable text"),
        (utterance(10, text="\ufffdn"), "undecodable text"),
        (utterance(10, audio="\udce9.wav"), "undecodable audio"),
        (utterance(3, audio="other.wav"), "duplicate id"),
        (Rejected("u10", "missing audio", "10.wav"), "missing audio"),
    ],
)
def test_a_bad_row_is_rejected_with_its_reason_and_the_rest_goes_on(
    tmp_path: Path, bad: Utterance | Rejected, reason: str
) -> None:
    summary = corpus.write([*ROWS, bad], tmp_path, DATA)
    assert reasons(tmp_path) == [(bad.id, reason)]
    assert summary.rejects == {reason: 1}
    assert [row.audio for row in manifest.read(tmp_path)] == [row.audio for row in ROWS]


def test_an_id_that_is_not_unicode_can_be_written_to_the_rejects(tmp_path: Path) -> None:
    corpus.write([*ROWS, utterance(10, id="\udce9")], tmp_path, DATA)
    assert reasons(tmp_path) == [("\\udce9", "undecodable id")]


def test_the_summary_says_hours_splits_reasons_and_leaks(tmp_path: Path) -> None:
    named: list[Utterance | Rejected] = [
        utterance(0, text="same", split="train", speaker="a", duration_s=3600.0),
        utterance(1, text="Same.", split="test", speaker="a", duration_s=1800.0),
        utterance(2, split="validation", language="hi", duration_s=None),
        Rejected("x", "missing audio"),
    ]
    assert str(corpus.write(named, tmp_path, DATA)).split("\n") == [
        "3 utterances, 1.50 hours (and 1 of unknown length)",
        "  language         train  validation        test",
        "  en                   1           0           1",
        "  hi                   0           1           0",
        "1 rows rejected: 1 missing audio",
        "in more than one split: 1 texts, 1 speakers",
    ]


def test_an_empty_corpus_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"corpus is empty: data\.source synthetic"):
        corpus.write([], tmp_path, DATA)


def test_if_all_rows_are_rejected_the_error_says_the_commonest_reasons(tmp_path: Path) -> None:
    rejects = [Rejected("a", "bad times"), *(Rejected(f"b{n}", "missing audio", "b.wav") for n in range(3))]
    with pytest.raises(UserError, match=r"all 4 rows .* missing audio \(3, .*b0.*b\.wav\); bad times \(1"):
        corpus.write(rejects, tmp_path, DATA)
    assert len(reasons(tmp_path)) == 4


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        (["train", "validation"], r"none of the 10 .* test split: .*data\.split\.test"),
        (["test", "validation"], r"none of the 10 .* train split: .*split column"),
    ],
)
def test_a_split_without_rows_is_an_error_with_the_remedy(tmp_path: Path, splits: list[str], message: str) -> None:
    rows = [utterance(n, split=splits[n % 2]) for n in range(10)]
    with pytest.raises(UserError, match=message):
        corpus.write(rows, tmp_path, DATA)


def test_a_validation_share_of_zero_is_an_error_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"validation split: .*\(data\.split\.validation, now 0\.0"):
        corpus.write(ROWS, tmp_path, Data(split=Split(validation=0.0, test=0.3)))


def test_rows_are_the_same_however_many_are_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        *ROWS,
        utterance(3, audio="again.wav"),
        Rejected("x", "missing audio"),
        utterance(10, text=""),
        utterance(0),
    ]
    at_once = corpus.write(rows, tmp_path / "a", DATA)
    monkeypatch.setattr(sieve, "ROWS_AT_ONCE", 3)
    assert str(corpus.write(rows, tmp_path / "b", DATA)) == str(at_once)
    assert list(manifest.read(tmp_path / "a")) == list(manifest.read(tmp_path / "b"))
    assert reasons(tmp_path / "a") == reasons(tmp_path / "b")
    assert [reason for _, reason in reasons(tmp_path / "a")] == [
        "duplicate id",
        "missing audio",
        "empty text",
        "duplicate id",
    ]


def test_nothing_but_manifest_and_rejects_is_left(tmp_path: Path) -> None:
    corpus.write(ROWS, tmp_path / "good", DATA)
    assert {path.name for path in (tmp_path / "good").iterdir()} == {"manifest.parquet", "rejects.parquet"}
    with pytest.raises(UserError):
        corpus.write([], tmp_path / "empty", DATA)
    assert {path.name for path in (tmp_path / "empty").iterdir()} == {"rejects.parquet"}


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=12), max_size=12))
def test_what_has_been_seen_is_known_again(calls: list[list[str]]) -> None:
    seen, known = sieve.Seen(), set()
    for names in calls:
        expected = []
        for name in names:
            expected.append(name in known)
            known.add(name)
        assert seen.add(names).tolist() == expected
