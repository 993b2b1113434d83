import unicodedata

from asr.params import Text
from asr.text import trained_text

AS_IT_IS = Text(unicode="none")


def test_the_default_composes_accents_and_trims_spaces():
    assert trained_text("  Un  cafe\u0301\n", Text()) == "Un café"


def test_no_rule_changes_no_letter():
    assert trained_text("Ça, c'est ﬁni!", AS_IT_IS) == "Ça, c'est ﬁni!"


def test_marks_stay_when_punctuation_goes():
    rules = Text(remove_punctuation=True, lowercase=True)
    assert trained_text("“हिन्दी” में, ไทย!", rules) == "हिन्दी में ไทย"
    assert trained_text("L'Été: 3 €", rules) == "l été 3"


def test_text_of_nothing_but_punctuation_ends_up_empty():
    assert trained_text("?! …", Text(remove_punctuation=True)) == ""


def test_the_result_is_stable():
    rules = Text(unicode="NFKC", lowercase=True, remove_punctuation=True)
    for text in ("İstanbul’da ½", "Ａｂｃ １２", "क्षत्रिय।"):
        once = trained_text(text, rules)
        assert trained_text(once, rules) == once
        assert unicodedata.is_normalized("NFKC", once)
