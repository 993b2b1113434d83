import sys

import numpy as np
import pytest

from asr.corpora.espeak import RATE_HZ, Speaker
from asr.corpora.synthesis import VOICES
from asr.errors import UserError

SENTENCE = "Turn on the lamp in the kitchen."


@pytest.fixture(scope="module")
def speaker():
    with Speaker() as speaker:
        yield speaker


def test_a_sentence_takes_about_two_seconds_and_does_not_clip(speaker):
    samples = np.frombuffer(speaker.speak(SENTENCE, "en+f1"), dtype="<i2")
    assert 1.2 < len(samples) / RATE_HZ < 2.5
    assert 3_000 < np.abs(samples.astype(int)).max() < 32_767


def test_what_was_spoken_before_does_not_matter(speaker):
    with Speaker() as other:
        alone = other.speak(SENTENCE, "en+f2")
    speaker.speak("Something else.", "de+m1", rate_wpm=180)
    assert speaker.speak(SENTENCE, "en+f2") == alone


def test_a_higher_rate_is_shorter_and_pitch_changes_the_sound(speaker):
    slow, fast = (speaker.speak(SENTENCE, "en+f1", rate_wpm=rate) for rate in (130, 190))
    assert len(fast) < 0.8 * len(slow)
    assert speaker.speak(SENTENCE, "en+f1", pitch=35) != speaker.speak(SENTENCE, "en+f1", pitch=65)


def test_every_voice_sounds_different_from_the_others_and_from_none(speaker):
    # an unknown variant would be spoken by the plain voice, without a word
    names = ["nobody", *(voice for split in VOICES.values() for voice in split)]
    assert len({speaker.speak(SENTENCE, f"en+{name}") for name in names}) == len(names)


def test_empty_text_gives_next_to_nothing(speaker):
    assert len(speaker.speak("", "en+f1")) < 0.1 * RATE_HZ


def test_an_unknown_language_fails_and_the_next_sentence_is_spoken(speaker):
    with pytest.raises(OSError, match="failed on this sentence"):
        speaker.speak(SENTENCE, "xx+f1")
    assert speaker.speak(SENTENCE, "en+f1")


def test_a_killed_process_raises_instead_of_hanging():
    with Speaker() as speaker:
        speaker.process.kill()
        speaker.process.wait()
        with pytest.raises(OSError):  # noqa: PT011 - a broken pipe or an ended process, whichever is met first
            speaker.speak(SENTENCE, "en+f1")


def test_a_library_that_does_not_load_is_explained(tmp_path, monkeypatch):
    (tmp_path / "espeakng_loader.py").write_text("raise ImportError('libespeak-ng.so is not there')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(UserError, match=r"libespeak-ng.so is not there.*pip install --force-reinstall"), Speaker():
        pass
    assert "espeakng_loader" not in sys.modules  # the library is loaded in the other process only
