"""asr/survey: every planted fault is found and names its param, and nothing is found where nothing is wrong."""

from pathlib import Path

import numpy as np
import pytest

from asr.params import check, parse
from asr.shards import read_index
from asr.survey.alphabet import Alphabet, mixed_words
from asr.survey.rows import Rows, read
from asr.survey.survey import Survey, survey
from asr.survey.writing import _alphabet_param
from tests.builders import write_features
from tests.faulty import FAULTS, faulty, flawless


def surveyed(folder: Path, rows: dict, rejects: dict[str, int]) -> Survey:  # type: ignore[type-arg]
    write_features(folder, rows)
    return survey(read(folder, read_index(folder)), rejects)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Survey:
    return surveyed(tmp_path_factory.mktemp("faulty"), faulty(), {"silent": 3})


@pytest.mark.parametrize(("title", "param"), FAULTS.items())
def test_a_planted_fault_is_found_and_names_what_mends_it(found: Survey, title: str, param: str) -> None:
    (finding,) = [one for one in found.findings if one.title == title]
    assert param in finding.param and finding.n >= 1


def test_nothing_else_is_found(found: Survey) -> None:
    assert {one.title for one in found.findings} == {*FAULTS}


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Clipped recordings", "clipped"),
        ("Hardly audible recordings", "quiet"),
        ("Probably cut within a word", "cut"),
        ("More text than the recording can hold", "fast"),
        ("Less text than the recording lasts", "slow"),
        ("Words of two scripts", "look-alike"),
        ("Texts of validation or test that train has too", "known text"),
        ("Recordings of validation or test that train has too", "known sound"),
    ],
)
def test_it_is_found_in_the_row_that_has_it_alone(tmp_path: Path, title: str, name: str) -> None:
    write_features(tmp_path, faulty())
    rows = read(tmp_path, read_index(tmp_path))
    (finding,) = [one for one in survey(rows, {}).findings if one.title == title]
    assert [rows.of("id")[place] for place in finding.rows] == [name]


def test_a_corpus_without_faults_has_no_finding(tmp_path: Path) -> None:
    clean = surveyed(tmp_path, flawless(), {})
    assert clean.findings == [] and clean.suspicious == [] and clean.changed == []
    assert len(clean.random) == 20
    assert (clean.n_utterances, clean.n_speakers) == (126, 24)
    assert clean.hours == pytest.approx(126 * 4 / 3600)


def test_the_rows_to_be_heard_are_those_of_the_findings(found: Survey) -> None:
    assert {"clipped", "quiet", "cut", "fast", "slow", "look-alike"} <= {one.id for one in found.suspicious}
    assert all(one.reasons for one in found.suspicious) and len(found.suspicious) <= 20


def test_params_of_cleaning_can_be_pasted(found: Survey) -> None:
    for one in found.findings:
        if one.param.startswith("data.clean."):
            name, _, value = one.param.removeprefix("data.clean.").partition(": ")
            content = parse(f"data:\n  clean:\n    {name}: {value}", "pasted")
            assert name in check(content).data.clean.model_fields_set


def test_the_alphabet_to_be_pasted_has_the_digits_and_is_none_where_it_would_be_cut_off() -> None:
    texts = ["el 1 y el 2"] * 50 + ["el ж"]
    rows = Rows(
        {"id": texts, "language": ["es"] * 51, "speaker": texts, "text": texts, "trained_text": texts, "digest": texts},
        {name: np.ones(51) for name in ("duration_s", "peak", "rms", "clipped_share", "head_rms", "tail_rms")},
        np.zeros(51, np.int8),
        np.ones(51),
    )
    assert _alphabet_param(rows, [50], {"es": Alphabet.of(texts)}) == 'data.clean.alphabet: {es: "12ely"}'
    many = {"es": Alphabet.of(["".join(map(chr, range(0x4E00, 0x4E00 + 300)))])}
    assert _alphabet_param(rows, [50], many) == "the texts themselves: mend them"


def test_sizes_and_histograms_hold_every_row_once(found: Survey) -> None:
    n_rows = sum(map(len, faulty().values()))
    assert sum(one.n_utterances for one in found.sizes) == found.n_utterances == n_rows
    assert [int(one.counts.sum()) for one in found.histograms] == [n_rows] * 3


def test_copies_are_left_out(tmp_path: Path) -> None:
    rows = flawless()
    rows["train"].append(rows["train"][0] | {"id": "train-0~0.9", "digest": "other"})
    write_features(tmp_path, rows)
    assert len(read(tmp_path, read_index(tmp_path), ["~0.9"])) == 126


def test_a_letter_of_another_script_is_strange_and_one_of_a_second_script_is_not() -> None:
    assert Alphabet.of(["привет мир"] * 3 + ["ok"]).strange() == {}  # of 29 letters two: a script of the language's
    assert Alphabet.of(["привет мир"] * 50 + ["ok"]).strange() == {"k": 1, "o": 1}
    assert Alphabet.of(["日本のラーメン"] * 10).strange() == {}


def test_a_rare_letter_is_strange_in_a_corpus_of_some_size() -> None:
    texts = ["abc def ghi"] * 6_000
    assert Alphabet.of([*texts, "q"]).strange() == {"q": 1}
    assert Alphabet.of([*texts[:100], "q"]).strange() == {}


def test_words_of_two_scripts_that_look_alike_are_told_from_words_side_by_side() -> None:
    assert mixed_words("Oικόσιτο 5кг USB-кабель") == ["Oικόσιτο"]
    assert mixed_words("日本語のCD") == []


def test_an_empty_corpus_has_no_finding() -> None:
    empty = Rows(
        {name: [] for name in ("id", "language", "speaker", "text", "trained_text", "digest")},
        {name: np.empty(0) for name in ("duration_s", "peak", "rms", "clipped_share", "head_rms", "tail_rms")},
        np.empty(0, np.int8),
        np.empty(0),
    )
    assert survey(empty, {}).findings == []
