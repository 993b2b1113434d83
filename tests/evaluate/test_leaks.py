"""asr/evaluate/leaks.py: what a test set shares with train, by the same rule that cuts the splits."""

from asr.evaluate.leaks import find_leak, text_key
from asr.evaluate.predictions import Prediction
from tests.builders import example, write_features


def prediction(language, text, speaker=None):
    return Prediction(f"{language} {text}", language, speaker, text, "", "", "")


def test_texts_and_speakers_of_train_are_found_whatever_their_writing(tmp_path):
    train = [
        example("a", language="es", text="¡Hola, mundo!", speaker="ana"),
        example("b", language="es", text="¡Hola, mundo!", speaker="eva"),
        example("c", language="hi", text="हिन्दी"),
    ]
    write_features(tmp_path, {"train": train, "test": [example("d", language="es", text="solo aquí")]})
    rows = [
        prediction("es", "hola mundo", "ana"),
        prediction("es", "Hola; Mundo", "luz"),
        prediction("en", "hola mundo"),
        prediction("hi", "हनद"),  # the same letters without their vowels
        prediction("es", "solo aquí"),
    ]
    leak = find_leak(tmp_path, rows)
    assert leak.texts == {text_key("es", "hola mundo")}
    assert leak.speakers == {"ana"}


def test_without_train_nothing_leaks(tmp_path):
    write_features(tmp_path, {"test": [example("a")]})
    leak = find_leak(tmp_path, [prediction("en", "A text.", "s")])
    assert not leak.texts and not leak.speakers
