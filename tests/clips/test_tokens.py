import pytest
from transformers import WhisperTokenizer

from asr.clips.tokens import FrontEnd, Labeller
from asr.errors import UserError

TEXTS = [
    ("en", "The quick brown fox, isn't it?"),
    ("es", "¿Qué hora es? ¡Niño!"),
    ("hi", "नमस्ते, आप कैसे हैं?"),
    ("ru", "Съешь ещё этих мягких французских булок"),
    ("zh", "你好，世界"),
    ("th", "สวัสดีชาวโลก"),
    ("en", " two  spaces and 🦊🏽\ttab"),
]


@pytest.fixture(scope="module")
def labeller(scratch):
    return Labeller(scratch)


@pytest.mark.parametrize(("language", "text"), TEXTS)
def test_labels_equal_the_reference_tokenizers(labeller, scratch, language, text):
    reference = WhisperTokenizer.from_pretrained(scratch, language=language, task="transcribe")
    assert labeller.labels(text, language) == reference(text).input_ids


def test_labels_equal_the_reference_on_real_transcripts(labeller, scratch, real_clips):
    references = {}
    for _, language, text in real_clips:
        if language not in references:
            references[language] = WhisperTokenizer.from_pretrained(scratch, language=language, task="transcribe")
        assert labeller.labels(text, language) == references[language](text).input_ids


def test_a_spanish_label_sequence_written_out(labeller):
    assert labeller.labels("", "es") == [50258, 50262, 50359, 50363, 50257]


def test_a_command_within_the_text_is_text(labeller):
    prefix, suffix = labeller.prefix("en"), [50257]
    labels = labeller.labels("say <|endoftext|> or <|es|>", "en")
    assert not set(labels[len(prefix) : -len(suffix)]) & set(range(50257, 51865))


def test_a_language_that_the_checkpoint_does_not_know_is_refused(labeller):
    with pytest.raises(UserError, match="'xx'"):
        labeller.labels("text", "xx")


def test_an_english_only_checkpoint_has_a_short_prefix_and_no_other_language(labeller):
    english = Labeller.__new__(Labeller)
    english.__dict__ = dict(labeller.__dict__, front_end=FrontEnd(80, False, 448))
    assert english.prefix("en") == [50258, 50363]
    with pytest.raises(UserError, match="English only"):
        english.prefix("es")
