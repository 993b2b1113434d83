"""asr/languages.py: what a corpus calls a language, and what stands for one."""

import pytest

from asr.languages import language_code


@pytest.mark.parametrize(
    ("name", "code"),
    [("Spanish", "es"), ("es-MX", "es"), ("ES_419", "es"), ("iw", "he"), ("Klingon", None), ("", None)],
)
def test_a_language_is_known_by_its_code_or_name(name: str, code: str | None) -> None:
    assert language_code(name) == code


def test_what_stands_for_a_language_is_named_with_its_region_or_without() -> None:
    assert language_code("ga-IE", {"ga-IE": "cy"}) == "cy"
    assert language_code("ga-IE", {"ga": "cy"}) == "cy"
    assert language_code("yue_hant_hk", {"yue": "zh"}) == "zh"  # which some checkpoints know, and others do not
    assert language_code("ga-IE", {"ga-GB": "cy"}) is None


def test_others_are_as_they_are() -> None:
    assert language_code("it", {"ga": "cy"}) == "it"
