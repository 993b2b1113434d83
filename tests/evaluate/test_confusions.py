"""asr/evaluate/confusions.py: words that are heard as others, most often first."""

from asr.evaluate.confusions import confusions


def test_the_commonest_substitutions_are_told_with_how_often_they_were_before():
    found = confusions(
        ["la casa roja", "mi casa", "der hund"], ["la cosa roja", "tu cosa", "die hund"], ["la cosa", "mi casa", ""],
        ["es", "es", "de"],
    )  # fmt: skip
    assert found == [
        {"language": "es", "reference": "casa", "heard": "cosa", "n": 2, "n_before": 1},
        {"language": "de", "reference": "der", "heard": "die", "n": 1, "n_before": 0},
        {"language": "es", "reference": "mi", "heard": "tu", "n": 1, "n_before": 0},
    ]


def test_characters_are_confused_where_no_spaces_are_written():
    found = confusions(["今日は 晴れ"], ["今日わ晴れ"], ["今日は晴れ"], ["ja"])
    assert [(one["reference"], one["heard"]) for one in found] == [("は", "わ")]


def test_what_is_only_left_out_or_added_is_no_confusion():
    assert confusions(["uno dos", ""], ["uno", "algo"], ["", ""], ["es", "es"]) == []


def test_only_so_many_are_told():
    words = [f"a{number}" for number in range(30)]
    assert len(confusions(words, ["x"] * 30, words, ["es"] * 30)) == 20
    assert len(confusions(words, ["x"] * 30, words, ["es"] * 30, n=3)) == 3
    assert confusions([], [], [], []) == []
