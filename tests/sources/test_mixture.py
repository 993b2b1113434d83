"""Several corpora at once: whose rows they are stays known, and each has splits of its own."""

from collections import Counter
from pathlib import Path

import pytest

from asr import params
from asr.corpora import corpus, manifest
from asr.corpora.rejects import read_rejects
from asr.corpora.shares import Share, shares_of
from asr.errors import UserError
from asr.params import compared
from asr.sources import mixture
from asr.utterances import Rejected, Utterance
from tests.sources import layouts
from tests.sources.layouts import CORPUS, clip, lines

LIBRISPEECH = {"source": "librispeech", "path": "LibriSpeech", "language": "en"}
TABLE = {"source": "table", "name": "mine", "table": {"path": "mine/rows.tsv"}}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    layouts.librispeech(Path("LibriSpeech"))
    for n in range(10):
        clip(Path(f"mine/{n}.wav"), n)
    lines(Path("mine/rows.tsv"), "id\taudio\ttext", *(f"{n}\t{n}.wav\tMine is number {n}." for n in range(10)))


def data_of(*parts: dict[str, object], **fields: object) -> params.Data:
    return params.check({"data": {"language": "it", "sources": [*parts], **fields}}).data


def prepared(data: params.Data) -> list[Utterance]:
    Path("corpus").mkdir(exist_ok=True)
    for made in Path("corpus").iterdir():
        made.rmdir()
    corpus.write(mixture.utterances(data, Path("corpus")), Path("manifest"), data)
    return list(manifest.read(Path("manifest")))


def test_each_row_bears_the_name_of_its_corpus_and_its_own_language() -> None:
    rows = prepared(data_of(LIBRISPEECH, TABLE))
    assert Counter(row.source for row in rows) == {"librispeech": len(CORPUS), "mine": 10}
    assert {(row.source, row.language) for row in rows} == {("librispeech", "en"), ("mine", "it")}
    assert all(row.id.startswith(f"{row.source}/") for row in rows)
    assert {row.speaker for row in rows if row.source == "librispeech"} >= {"librispeech/1000", "librispeech/1005"}


def test_a_corpus_keeps_its_splits_and_another_is_cut_by_itself() -> None:
    rows = prepared(data_of(LIBRISPEECH, TABLE, split={"validation": 0.2, "test": 0.3}))
    assert Counter(row.split for row in rows if row.source == "mine") == {"train": 5, "validation": 2, "test": 3}
    assert Counter(row.split for row in rows if row.source == "librispeech") == dict.fromkeys(
        ("train", "validation", "test"), 2
    )


def test_the_same_corpus_twice_has_no_id_twice() -> None:
    other = TABLE | {"name": "again"}
    rows = prepared(data_of(TABLE, other))
    assert len({row.id for row in rows}) == len(rows) == 20
    assert len({row.split for row in rows if row.text == "Mine is number 3."}) == 1  # a text is on one side of all cuts


def test_corpora_without_a_name_are_numbered_and_two_of_one_name_refused() -> None:
    data = data_of(LIBRISPEECH, TABLE, LIBRISPEECH, LIBRISPEECH)
    assert [*data.parts()] == ["librispeech", "mine", "librispeech-2", "librispeech-3"]
    with pytest.raises(UserError, match="two of sources are called mine; give each a name of its own"):
        data_of(TABLE, TABLE)


def test_a_mistake_in_an_entry_names_its_place() -> None:
    with pytest.raises(UserError, match=r"data\.sources\.1: source is kaldi, so path must name"):
        data_of(LIBRISPEECH, {"source": "kaldi"})
    with pytest.raises(UserError, match=r"data\.sources\.0\.wieght: unknown; did you mean weight\?"):
        data_of({**LIBRISPEECH, "wieght": 2.0})
    with pytest.raises(UserError, match="sources is given, so path is not read"):
        data_of(LIBRISPEECH, path="LibriSpeech")


def test_hours_bound_train_and_leave_the_other_splits() -> None:
    seconds = 0.5 * 3  # three rows of half a second
    rows = prepared(data_of(LIBRISPEECH, {**timed("mine"), "max_hours": seconds / 3600}))
    mine = [row for row in rows if row.source == "mine"]
    assert Counter(row.split for row in mine) == {"train": 3, "validation": 1, "test": 1}
    rejected = read_rejects(Path("manifest"))
    assert {row.reason for row in rejected} == {"over max_hours"} and len(rejected) == 5
    assert {row.id for row in mine} | {row.id for row in rejected} == {f"mine/{n}" for n in range(10)}
    assert "mine is to have" in rejected[0].detail


def timed(name: str) -> dict[str, object]:
    """A table that says how long its pieces are."""
    lines(
        Path("mine/timed.tsv"),
        "id\taudio\ttext\tstart_s\tend_s",
        *(f"{n}\t{n}.wav\tMine is number {n}.\t0\t0.5" for n in range(10)),
    )
    return {"source": "table", "name": name, "table": {"path": "mine/timed.tsv"}}


def test_a_corpus_of_which_nothing_fits_into_its_hours_is_one_line() -> None:
    part = timed("mine")
    lines(Path("mine/timed.tsv"), "id\taudio\ttext\tstart_s\tend_s\tsplit", "0\t0.wav\tMine.\t0\t0.5\ttrain")
    with pytest.raises(UserError, match=r"all 1 rows of data\.sources were rejected: over max_hours"):
        prepared(data_of({**part, "max_hours": 0.0001}))


def test_what_the_mixture_says_of_languages_holds_for_each_corpus() -> None:
    data = data_of(
        {**TABLE, "languages": {"gd": "br"}}, LIBRISPEECH, languages={"ga": "cy", "gd": "cy"}, normalized=True
    )
    mine, other = data.parts().values()
    assert mine.languages == {"ga": "cy", "gd": "br"} and other.languages == {"ga": "cy", "gd": "cy"}
    assert mine.normalized and other.normalized


def test_without_durations_hours_are_left_to_the_selection() -> None:
    rows = prepared(data_of({**TABLE, "max_hours": 0.0001}, LIBRISPEECH))
    assert len(rows) == 10 + len(CORPUS)


def test_another_weight_is_compared_by_the_selection_alone() -> None:
    def compare(weight: float) -> tuple[object, object]:
        choices = params.check({"data": {"sources": [{**LIBRISPEECH, "weight": weight}, {**TABLE, "max_hours": 3.5}]}})
        assert shares_of(choices.data) == {"librispeech": Share(weight, None), "mine": Share(1.0, 3.5)}
        return compared.corpus(choices), compared.cleaning(choices)

    (corpus_before, before), (corpus_after, after) = compare(1.0), compare(2.0)
    assert corpus_before == corpus_after and before != after
    assert shares_of(params.Data()) == {}


def test_files_of_all_corpora_are_watched() -> None:
    data = data_of(LIBRISPEECH, TABLE)
    before = dict(mixture.listing(data))
    assert {name.partition(" ")[0] for name in before} == {"librispeech", "mine"}
    with Path("mine/rows.tsv").open("a") as file:
        file.write("11\t0.wav\tOne more.\n")
    assert {name for name, version in mixture.listing(data) if before[name] != version} == {"mine mine/rows.tsv"}


def test_one_corpus_is_as_it_was() -> None:
    data = params.check({"data": LIBRISPEECH}).data
    found = [row for row in mixture.utterances(data, Path("unused")) if not isinstance(row, Rejected)]
    assert {row.source for row in found} == {None}
    assert not any(row.id.startswith("librispeech/") for row in found)


def test_a_further_test_set_may_be_a_mixture() -> None:
    content = {"evaluate": {"sets": {"both": {"sources": [LIBRISPEECH, TABLE]}}}}
    chosen = params.check(content).evaluate.sets["both"]
    assert [*chosen.parts()] == ["librispeech", "mine"]
