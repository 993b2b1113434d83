"""asr/clips/numbers.py: numbers become words where there is one way to say them, and stay digits elsewhere."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.clips.numbers import speaks, spelled
from asr.languages import NAMES


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
        ("tr", "21 kedi", "yirmi bir kedi"),
        ("ar", "٣ قطط", "ثلاثة قطط"),
        ("th", "แมว 5 ตัว", "แมว ห้า ตัว"),
        ("bn", "২১ টি", "একুশ টি"),
        ("ja", "猫 3 匹", "猫 三 匹"),
        ("kk", "5", "бес"),
        ("en", "१२ and (5)", "twelve and (five)"),
        ("fr", "1 000 fois", "mille fois"),
        ("ru", "3,5 литра", "три целых пять десятых литра"),
        ("ar", "٢١ قطة", "واحد وعشرون قطة"),
        ("th", "แมว5ตัว", "แมวห้าตัว"),
        ("ja", "第3回", "第三回"),
        ("pt", "1.250 gatos", "mil duzentos e cinquenta gatos"),
        ("tr", "1.999.345", "bir milyon dokuz yüz doksan dokuz bin üç yüz kırk beş"),
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
        "1 000",
        "1⁄2",
        "1–2",
        "2+2",
        "1990",
        "'90",
        "5'",
        "€ 5",
        "3.50",
        "1,00,000",
        "007th",
    ],
)
def test_what_could_be_said_otherwise_stays(text: str) -> None:
    assert spelled(f"Say {text} now", "en") == f"Say {text} now"


def test_separators_are_those_of_the_language() -> None:
    assert spelled("1.255", "en") == "one point two five five"
    assert spelled("1,255", "de") == "eins Komma zwei fünf fünf"


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("de", "am 3. Mai 1990"),  # dritten, neunzehnhundertneunzig
        ("de", "1 Hund"),  # ein
        ("fr", "1 femme"),
        ("es", "31 gatos y 1.250 o 1,250"),  # treinta y un; the separators of Spain are the others of Mexico
        ("es", "3,5"),  # num2words says "punto"
        ("it", "3,5"),  # and here "tre"
        ("tr", "3,05"),  # and here nothing
        ("pt", "16"),  # dezasseis, dezesseis
        ("am", "1100"),  # num2words raises TypeError
        ("sv", "1000"),  # etttusen
        ("ru", "1.250"),
    ],
)
def test_what_one_language_says_otherwise_or_num2words_wrongly_stays(language: str, text: str) -> None:
    assert spelled(text, language) == text


@pytest.mark.parametrize("language", sorted(filter(speaks, NAMES)))
def test_no_two_numbers_sound_alike(language: str) -> None:
    numbers = [*range(1100), *range(2000, 10**6, 9_973), 10**6, 10**9 - 1]
    said = [spelled(str(number), language) for number in numbers]
    assert len({*said}) == len(numbers)
    assert all(one.isdecimal() or not any(letter.isdigit() for letter in one) for one in said)


@given(
    st.text("0015,. /-%$3१٣a.«»\u00a0th", max_size=12),
    st.sampled_from(["en", "de", "fr", "es", "ar", "th", "tr", "uk"]),
)
def test_words_stay_words(text: str, language: str) -> None:
    once = spelled(text, language)
    assert spelled(once, language) == once


def test_a_sentence_may_end_with_a_number() -> None:
    assert spelled("He has 2.", "en") == "He has two."
    assert spelled("2, 3, 4", "en") == "two, three, four"


def test_the_languages_that_can_be_spoken_are_known() -> None:
    assert speaks("de") and speaks("kk") and not speaks("hi") and not speaks("ko")
    assert spelled("5 बिल्ली", "hi") == "5 बिल्ली"
