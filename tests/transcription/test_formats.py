"""Transcripts as text, subtitles and JSON."""

import json

from hypothesis import given
from hypothesis import strategies as st

from asr.transcription.formats import CUE_LENGTH, CUE_S, as_json, as_srt, as_text, as_vtt, cues
from asr.transcription.transcript import Segment, Transcript, Word


def said(*words, start_s=0.0, step_s=0.5):
    made = [Word(text, start_s + n * step_s, start_s + (n + 1) * step_s, 0.5) for n, text in enumerate(words)]
    return Segment(made[0].start_s, made[-1].end_s, made)


TWO = Transcript(3700.0, "es", [said(" Hola", " a", " <todos>."), said(" Adiós.", start_s=3661.2345)])


def test_subtitles_are_as_their_formats_say():
    assert as_srt(TWO, {}) == (
        "1\n00:00:00,000 --> 00:00:01,500\nHola a <todos>.\n\n2\n01:01:01,234 --> 01:01:01,734\nAdiós.\n"
    )
    assert as_vtt(TWO, {}) == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\nHola a &lt;todos&gt;.\n\n01:01:01.234 --> 01:01:01.734\nAdiós.\n"
    )
    assert as_text(TWO, {}) == "Hola a <todos>.\nAdiós.\n"


def test_json_has_times_and_confidences_of_segments_and_words():
    content = json.loads(as_json(TWO, {"audio": "a.wav"}))
    assert content["audio"] == "a.wav" and content["language"] == "es" and content["text"] == "Hola a <todos>. Adiós."
    assert content["segments"][0]["words"][1] == {"text": "a", "start_s": 0.5, "end_s": 1.0, "confidence": 0.5}
    assert content["confidence"] == content["segments"][0]["confidence"] == 0.5


def test_no_speech_is_an_empty_file_of_each_format():
    nothing = Transcript(2.0, None)
    assert as_text(nothing, {}) == as_srt(nothing, {}) == ""
    assert as_vtt(nothing, {}) == "WEBVTT\n"
    assert json.loads(as_json(nothing, {}))["segments"] == []


def test_a_long_segment_becomes_cues_of_two_lines():
    (first, *_) = cues(Transcript(60.0, "en", [said(*[" word"] * 40, step_s=0.2)]))
    assert [len(line) for line in first.lines] == [39, 39]


@given(st.lists(st.tuples(st.text("ab. ", min_size=1, max_size=12), st.floats(0.01, 3)), min_size=1, max_size=60))
def test_cues_hold_every_word_once_and_can_be_read(pairs):
    at_s, words = 0.0, []
    for text, length_s in pairs:
        words.append(Word(f" {text}", at_s, at_s + length_s, 1.0))
        at_s += length_s
    made = list(cues(Transcript(at_s, "en", [Segment(0.0, at_s, words)])))
    assert "".join("".join(cue.lines).replace(" ", "") for cue in made) == "".join(w.text for w in words).replace(
        " ", ""
    )
    assert all(len(cue.lines) <= 2 and sum(map(len, cue.lines)) <= CUE_LENGTH for cue in made)
    assert all(cue.end_s - cue.start_s <= CUE_S + 1e-6 for cue in made)
