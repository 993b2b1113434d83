import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from asr.clips.text import check, trained_text
from asr.errors import UserError
from asr.params import Text

AS_IT_IS = Text(unicode="none")
SPOKEN = Text(lowercase=True, remove_punctuation=True)

# Every kind of character that a rule looks at, so that their meetings are tried too.
CHARACTERS = (
    "“»–⁻07,.1/$ %aİIΣßé\u0301\u0327ﬁ½१ न्र\u09cdমی\u064eخ՞'’-·.:⁄_€。\u200b\u200c\u200d\u00ad\ufe0f\x00\n\u00a0👩"
)


def test_the_default_composes_accents_and_trims_spaces():
    assert trained_text("  Un  cafe\u0301\n", Text()) == "Un café"


def test_no_rule_changes_no_letter():
    assert trained_text("Ça, c'est ﬁni!", AS_IT_IS) == "Ça, c'est ﬁni!"


@pytest.mark.parametrize("rules", [Text(), AS_IT_IS, SPOKEN])
@pytest.mark.parametrize("unseen", ["\x00", "\x1b", "\u00ad", "\u200b", "\u200e", "\u2060", "\ufe0f", "\ufeff"])
def test_what_nobody_sees_goes_without_a_trace(rules, unseen):
    assert trained_text(f"{unseen}wa{unseen}ter{unseen}", rules) == "water"


@pytest.mark.parametrize("space", ["\t", "\r\n", "\u00a0", "\u2003", "\u2028", "\u3000", "\x85"])
def test_every_kind_of_space_is_one_space(space):
    assert trained_text(f"no{space}{space}more", AS_IT_IS) == "no more"


@pytest.mark.parametrize(
    "word",
    [
        "می\u200cخواهم",  # Persian: I want
        "సాఫ్ట్\u200cవేర్",  # Telugu: software
        "ന്\u200d",  # Malayalam: n without its vowel, at the end of a word
        "র\u200d্যাব",  # Bengali: the joiner stands before the virama
    ],
)
@pytest.mark.parametrize("rules", [Text(), SPOKEN])
def test_a_joiner_stays_where_it_spells_a_word(word, rules):
    assert trained_text(word, rules) == word


def test_a_joiner_goes_where_it_spells_nothing():
    assert trained_text("\u200cAuf\u200clage \u200d می\u200c", Text()) == "Auflage می"
    assert trained_text("می\u200c\u200cخواهم", Text()) == "می\u200cخواهم"


def test_marks_stay_when_punctuation_goes():
    assert trained_text("“हिन्दी” में, ไทย!", SPOKEN) == "हिन्दी में ไทย"


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("L'Été: l’eau, don't!", "l'été l’eau don't"),
        ("Rock-n-roll - из-за -- धीरे-धीरे-", "rock-n-roll из-за धीरे-धीरे"),
        ("'Tis the 'dogs'' po'", "tis the dogs po"),
        ("Col·lecció · מנכ״ל", "col·lecció מנכ״ל"),
        ("ի՞նչ", "ինչ"),
        ("At 12:30, 3.14 or 1,000. 7: 3 €", "at 12:30 3.14 or 1,000 7 3"),
        ("and/or snake_case e.g.", "and or snake case e g"),
        ("?! … 👩\u200d🚀", ""),
    ],
)
def test_punctuation_goes_but_for_what_spells_a_word_or_a_number(text, spoken):
    assert trained_text(text, SPOKEN) == spoken


def test_lower_case_follows_the_script_and_the_language():
    assert trained_text("ΟΔΟΣ ΣΑΣ", SPOKEN) == "οδος σας"
    assert trained_text("DIYARBAKIR İstanbul", SPOKEN, "tr") == "dıyarbakır istanbul"
    assert trained_text("DIYARBAKIR", SPOKEN, "en") == "diyarbakir"


@given(
    st.text(CHARACTERS, max_size=8),
    st.builds(
        Text,
        unicode=st.sampled_from(["NFC", "NFKC", "none"]),
        lowercase=st.booleans(),
        remove_punctuation=st.booleans(),
    ),
)
def test_the_result_is_stable_and_keeps_every_letter(text, rules):
    once = trained_text(text, rules)
    assert trained_text(once, rules) == once
    if rules.unicode != "none":
        assert unicodedata.is_normalized(rules.unicode, once)
    if not rules.lowercase and rules.unicode == "none":
        assert [c for c in once if c.isalnum()] == [c for c in text if c.isalnum()]


@given(
    st.text(CHARACTERS, max_size=10) | st.text("3510 ,./-%$⁻½²\u200d’.", max_size=6),
    st.builds(
        Text,
        unicode=st.sampled_from(["NFC", "NFKC", "none"]),
        quotes=st.sampled_from(["keep", "plain"]),
        dashes=st.sampled_from(["keep", "plain"]),
        digits=st.just("spell"),
        lowercase=st.booleans(),
        remove_punctuation=st.just(False),
    ),
    st.sampled_from(["en", "de", "fr", "tr", "hi", "th", "ar", "uk"]),
)
@example("0\u200c", Text(digits="spell"), "en")
def test_with_numbers_in_words_the_result_is_stable_too(text, rules, language):
    once = trained_text(text, rules, language)
    assert trained_text(once, rules, language) == once


@pytest.mark.parametrize(
    ("language", "text", "kept"),
    [("de", "am 3. Mai", "am 3 Mai"), ("en", "-5 degrees, $5 and 5 %", "5 degrees 5 and 5"), ("fr", "5 °C", "5 C")],
)
def test_a_number_that_stays_in_digits_stays_so_when_its_sign_goes(language, text, kept):
    assert trained_text(text, Text(digits="spell", remove_punctuation=True), language) == kept


PLAIN = Text(quotes="plain", dashes="plain")


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("“Hi” – it’s ‘me’", "\"Hi\" - it's 'me'"),
        ("«Da» — „ja“", '"Da" - "ja"'),
        ("l’eau", "l'eau"),
        ("צה״ל", "צה״ל"),  # Hebrew's gershayim spell an abbreviation
        ("oʻzbek, пʼять", "oʻzbek, пʼять"),  # modifier letters
        ("10−3", "10-3"),
    ],
)
def test_quotes_and_dashes_become_plain_and_letters_that_look_alike_stay(text: str, plain: str) -> None:
    assert trained_text(text, PLAIN) == plain
    assert trained_text(text, Text()) == text


def test_a_language_may_have_rules_of_its_own() -> None:
    rules = Text.model_validate({"by_language": {"de": {"digits": "spell"}, "tr": {"lowercase": True}}})
    assert trained_text("3 IZGARA", rules, "de") == "drei IZGARA"
    assert trained_text("3 IZGARA", rules, "tr") == "3 ızgara"
    assert trained_text("3 IZGARA", rules, "en") == "3 IZGARA"


def test_what_a_language_does_not_say_is_as_the_section_has_it() -> None:
    rules = Text.model_validate({"lowercase": True, "by_language": {"hi": {"lowercase": False, "quotes": "plain"}}})
    assert rules.of("hi").lowercase is False and rules.of("hi").quotes == "plain" and rules.of("hi").unicode == "NFC"
    assert rules.of("en").lowercase is True and rules.of("en").quotes == "keep"


def test_numbers_are_spelled_before_their_punctuation_goes() -> None:
    rules = SPOKEN.model_copy(update={"digits": "spell"})
    assert trained_text("Nun: 1.250 Hunde (21).", rules, "de") == "nun eintausendzweihundertfünfzig hunde einundzwanzig"


def test_the_dashes_that_unicode_makes_are_plain_too() -> None:
    assert trained_text("10⁻³", Text(unicode="NFKC", dashes="plain")) == "10-3"


@pytest.mark.parametrize(
    ("rules", "line"),
    [
        ({"by_language": {"iw": {}}}, "text.by_language: 'iw' is none of Whisper's codes; it is he"),
        ({"by_language": {"ga": {}}}, "text.by_language: 'ga' is none of Whisper's codes; name the one that stands"),
        ({"digits": "spell"}, r"text.digits: .* in hi, ko; set .* \{hi: \{digits: keep\}, ko: \{digits: keep\}\}"),
    ],
)
def test_rules_that_cannot_be_followed_are_named_with_the_remedy(rules, line) -> None:
    with pytest.raises(UserError, match=line):
        check(Text.model_validate(rules), ["de", "hi", "ko"])


def test_digits_may_be_kept_where_they_cannot_be_spelled() -> None:
    check(Text.model_validate({"digits": "spell", "by_language": {"hi": {"digits": "keep"}}}), ["de", "hi"])
