"""asr/clips/numbers.py: numbers become words where there is one way to say them, and stay digits elsewhere."""

import pytest

from asr.clips.numbers import speaks, spelled


@pytest.mark.parametrize(
    ("language", "text", "said"),
    [
        ("en", "In 3 days, 1,250 of 21 left.", "In three days, one thousand two hundred and fifty of twenty-one left."),
        ("en", "The 21st of 3.14!", "The twenty-first of three point one four!"),
        ("de", "21 Katzen und 1.250 Hunde", "einundzwanzig Katzen und eintausendzweihundertfünfzig Hunde"),
        ("de", "3,5 Liter", "drei Komma fünf Liter"),
        ("fr", "80 francs, 1\u202f000 fois", "quatre-vingts francs, mille fois"),
        ("es", "Tengo 16 gatos.", "Tengo dieciséis gatos."),
        ("ru", "21 кот", "двадцать один кот"),
        ("uk", "9 котів", "дев'ять котів"),
        ("tr", "21 kedi", "yirmibir kedi"),
        ("ar", "٣ قطط", "ثلاثة قطط"),
        ("th", "แมว 5 ตัว", "แมว ห้า ตัว"),
        ("bn", "২১ টি", "একুশ টি"),
        ("ja", "猫 3 匹", "猫 三 匹"),
        ("kk", "5", "бес"),
    ],
)
def test_a_number_is_said_in_its_language(language: str, text: str, said: str) -> None:
    assert spelled(text, language) == said


@pytest.mark.parametrize(
    "text",
    [
        "B2B",
        "12:30",
        "3/4",
        "1-2",
        "$5",
        "5%",
        "5 %",
        "5€",
        "007",
        "1.2.3",
        "1,00",
        "12345678901234567",
        "v2",
        "-5",
        "1,000,00",
    ],
)
def test_what_could_be_said_otherwise_stays(text: str) -> None:
    assert spelled(f"Say {text} now", "en") == f"Say {text} now"


def test_separators_are_those_of_the_language() -> None:
    assert spelled("1.250", "en") == "one point two five"
    assert spelled("1,250", "de") == "eins Komma zwei fünf"


def test_a_sentence_may_end_with_a_number() -> None:
    assert spelled("He has 2.", "en") == "He has two."
    assert spelled("2, 3, 4", "en") == "two, three, four"


def test_the_languages_that_can_be_spoken_are_known() -> None:
    assert speaks("de") and speaks("kk") and not speaks("hi") and not speaks("sw")
    assert spelled("5 बिल्ली", "hi") == "5 बिल्ली"
