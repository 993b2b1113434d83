import hashlib
import random
import re
import unicodedata
from collections import Counter
from itertools import product
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import soundfile

from asr.corpora import synthesis
from asr.corpora.espeak import RATE_HZ
from asr.corpora.grammar import load_grammar, sentences
from asr.errors import UserError
from asr.params import Data, SyntheticLanguage
from asr.sources import synthetic
from asr.utterances import SPLITS, Rejected, Utterance

LANGUAGES = get_args(SyntheticLanguage)
SMALL = Data.model_validate({"synthetic": {"utterances": 20}})


def sha256_of_files(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return tmp_path_factory.mktemp("corpus")


@pytest.fixture(scope="module")
def rows(corpus):
    return list(synthetic.utterances(SMALL, corpus))


def expansions(template: str, slots: dict[str, list[str]]) -> list[str]:
    """All that a template can become."""
    parts = re.split(r"\{(\w+)\}", template)  # literal, slot, literal, slot ...
    choices = [
        [text for alternative in slots[part] for text in expansions(alternative, slots)] if place % 2 else [part]
        for place, part in enumerate(parts)
    ]
    return ["".join(chosen) for chosen in product(*choices)]


def all_sentences(language: str) -> list[str]:
    grammar = load_grammar(language)
    return [text for template in grammar["sentences"] for text in expansions(template, grammar["slots"])]


def bare(word: str) -> str:
    return word.lower().strip(".,।")


# The grammars


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_language_has_over_20000_sentences_of_four_to_nine_words(language):
    distinct = set(all_sentences(language))
    assert len(distinct) > 20_000
    for sentence in distinct:
        assert 4 <= len(sentence.split()) <= 9, sentence
        assert sentence.endswith("।" if language == "hi" else "."), sentence
        assert not re.search(r"[\d{}]|  ", sentence), sentence
        assert unicodedata.is_normalized("NFC", sentence), sentence


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_language_has_at_least_150_words_and_few_enough_to_learn(language):
    words = {bare(word) for sentence in all_sentences(language) for word in sentence.split()}
    assert 150 <= len(words) <= 260


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_drawn_is_distinct_starts_with_a_capital_and_is_in_the_grammar(language):
    drawn = sentences(load_grammar(language), 500, random.Random(1))
    assert len(set(drawn)) == 500
    assert {text[0] for text in drawn} == {text[0].upper() for text in drawn}
    assert set(drawn) <= {text[0].upper() + text[1:] for text in all_sentences(language)}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_slot_is_text_and_is_used(language):
    grammar = load_grammar(language)
    alternatives = [text for slot in grammar["slots"].values() for text in slot]
    assert all(isinstance(text, str) for text in alternatives)  # YAML reads a bare on or off as a truth value
    used = set(re.findall(r"\{(\w+)\}", " ".join(grammar["sentences"] + alternatives)))
    assert used == set(grammar["slots"])


def test_a_slot_within_a_slot_is_filled_and_the_first_letter_is_a_capital():
    grammar = {"sentences": ["{who} sings."], "slots": {"who": ["the {animal}"], "animal": ["cat"]}}
    assert sentences(grammar, 1, random.Random(1)) == ["The cat sings."]


def test_more_sentences_than_the_grammar_holds_are_refused():
    grammar = {"sentences": ["{who} sings."], "slots": {"who": ["Ann", "Ben"]}}
    with pytest.raises(UserError, match="at most about 2 can be made"):
        sentences(grammar, 3, random.Random(1))


# The plan


def test_by_default_1200_clips_are_spread_evenly_and_split_by_the_declared_shares():
    clips = synthesis.plan(Data())
    assert Counter(clip.language for clip in clips) == dict.fromkeys(LANGUAGES, 240)
    assert Counter(clip.split for clip in clips) == {"train": 5 * 209, "validation": 5 * 12, "test": 5 * 19}
    assert [clip.id for clip in clips[:2]] == ["en-00001", "en-00002"]
    assert len({clip.id for clip in clips}) == 1200


def test_no_sentence_and_no_voice_is_in_two_splits():
    clips = synthesis.plan(Data())
    assert len({(clip.language, clip.text) for clip in clips}) == len(clips)
    voices = {split: {clip.voice for clip in clips if clip.split == split} for split in SPLITS}
    assert sum(len(names) for names in voices.values()) == len(set.union(*voices.values()))
    assert len(voices["train"]) >= 10
    assert {split: set(names) for split, names in synthesis.VOICES.items()} == voices


def test_nearly_all_words_of_the_test_split_are_met_in_training():
    clips = synthesis.plan(Data())
    train, test = (
        {(clip.language, bare(word)) for clip in clips if clip.split == split for word in clip.text.split()}
        for split in ("train", "test")
    )
    assert len(test - train) < 0.06 * len(test)


@pytest.mark.parametrize("n_utterances", [15, 20, 23, 60])
def test_a_small_corpus_has_every_split_in_every_language(n_utterances):
    clips = synthesis.plan(Data.model_validate({"synthetic": {"utterances": n_utterances}}))
    assert len(clips) == n_utterances
    assert {(clip.language, clip.split) for clip in clips} == {(name, split) for name in LANGUAGES for split in SPLITS}


def test_too_few_utterances_are_refused_with_the_number_that_would_do():
    with pytest.raises(UserError, match=r"utterances: 14 is too few .* 5 languages; take 15 or more"):
        synthesis.plan(Data.model_validate({"synthetic": {"utterances": 14}}))


def test_a_split_without_a_share_is_empty():
    data = Data.model_validate({"synthetic": {"utterances": 10}, "split": {"validation": 0.0, "test": 0.5}})
    assert Counter(clip.split for clip in synthesis.plan(data)) == {"train": 5, "test": 5}


def test_large_shares_leave_something_to_train():
    data = Data.model_validate({"synthetic": {"utterances": 15}, "split": {"validation": 0.49, "test": 0.5}})
    assert Counter(clip.split for clip in synthesis.plan(data)) == dict.fromkeys(SPLITS, 5)


def test_another_seed_is_another_corpus():
    first, again, other = (synthesis.plan(Data(seed=seed)) for seed in (1, 1, 2))
    assert first == again
    assert len({clip.text for clip in first} & {clip.text for clip in other}) < 0.2 * len(first)


# The audio


def test_rows_tell_what_the_files_hold(rows, corpus):
    assert [row.id for row in rows] == [clip.id for clip in synthesis.plan(SMALL)]
    for row in rows:
        assert isinstance(row, Utterance)
        assert row.audio == str(corpus / row.language / f"{row.id}.flac")
        info = soundfile.info(row.audio)
        assert (info.samplerate, info.channels, info.subtype) == (RATE_HZ, 1, "PCM_16")
        assert info.frames / RATE_HZ == row.duration_s
        assert Path(row.audio).stat().st_size == row.source_bytes
        assert row.split in SPLITS and row.speaker in synthesis.VOICES[row.split]


def test_clips_are_audible_short_and_not_clipped(rows):
    for row in rows:
        samples, _ = soundfile.read(row.audio)
        assert 1.0 < row.duration_s < 6.5
        assert 0.15 < np.abs(samples).max() < 0.95
        assert np.sqrt(np.mean(samples**2)) > 0.005


def test_the_bytes_do_not_depend_on_the_number_of_processes_or_the_order(rows, corpus, tmp_path):
    list(synthesis.synthesise(synthesis.plan(SMALL)[::-1], tmp_path, n_processes=1))
    assert sha256_of_files(tmp_path) == sha256_of_files(corpus)
    assert len(sha256_of_files(corpus)) == len(rows)


def test_a_clip_that_cannot_be_spoken_is_rejected_and_the_others_are_made(tmp_path, monkeypatch):
    good, bad = synthesis.plan(SMALL)[:2]
    real = synthesis.Speaker.speak

    def speak(self, text, *arguments):
        return real(self, text, "xx") if text == bad.text else real(self, text, *arguments)

    monkeypatch.setattr(synthesis.Speaker, "speak", speak)
    made, rejected = synthesis.synthesise([good, bad], tmp_path, n_processes=1)
    assert isinstance(made, Utterance) and isinstance(rejected, Rejected)
    assert (rejected.id, rejected.reason) == (bad.id, "eSpeak NG failed")


@pytest.mark.parametrize("kind", get_args(synthesis.Noise))
def test_noise_is_mixed_at_its_signal_to_noise_ratio(kind):
    clip = synthesis.Clip(
        id="en-1", language="en", split="test", text="", voice="f1", rate_wpm=160, pitch=50, pitch_range=50,
        lead_s=0.1, noise=kind, snr_db=20.0, peak_dbfs=-6.0, seed=1,
    )  # fmt: skip
    tone = np.sin(2 * np.pi * 1000 * np.arange(RATE_HZ) / RATE_HZ) * 8000
    samples = synthesis.record(clip, tone.astype("<i2").tobytes()).astype(float)
    n_lead = round(0.1 * RATE_HZ)
    assert len(samples) == n_lead + RATE_HZ
    assert 20 * np.log10(np.abs(samples).max() / 32_767) == pytest.approx(-6.0, abs=0.01)
    lead, speech = np.mean(samples[:n_lead] ** 2), np.mean(samples**2)
    assert 10 * np.log10(speech / lead) == pytest.approx(20.0, abs=2.0)


def test_pink_noise_falls_by_3_db_an_octave():
    samples = synthesis.noise("pink", 200_000, np.random.default_rng(1))
    power = np.abs(np.fft.rfft(samples)) ** 2
    octaves = [power[2**k : 2 ** (k + 1)].mean() for k in range(8, 16)]
    assert np.diff(10 * np.log10(octaves)) == pytest.approx(-3.0, abs=0.7)


def test_silence_stays_silence():
    (clip,) = synthesis.plan(Data.model_validate({"synthetic": {"utterances": 3, "languages": ["en"]}}))[:1]
    assert not synthesis.record(clip, b"").any()


def test_nothing_outside_the_project_is_listed():
    assert list(synthetic.listing(Data())) == []
