import numpy as np
import pytest
import soundfile

from asr.clips import examples as module
from asr.clips.augment import KINDS
from asr.clips.examples import examples
from asr.clips.recordings import Recording
from asr.clips.tokens import Labeller
from asr.features import RATE_HZ, log_mel
from asr.params import Audio, Text
from asr.utterances import Rejected, Utterance
from tests.builders import speech_like


def rows_of(utterances, scratch, text=None):
    return list(examples(utterances, Audio(), text or Text(), Labeller(scratch)))


@pytest.fixture
def opened(monkeypatch):
    """The paths that were opened, in order."""
    paths, recording = [], module.recording
    monkeypatch.setattr(module, "recording", lambda path, *rest: paths.append(path) or recording(path, *rest))
    return paths


@pytest.fixture
def decoded(monkeypatch):
    """(start, n) of each piece that was decoded."""
    pieces, read = [], Recording.read
    monkeypatch.setattr(Recording, "read", lambda self, start, n: pieces.append((start, n)) or read(self, start, n))
    return pieces


def test_each_utterance_gives_one_row_or_one_reason_in_order(tmp_path, scratch):
    soundfile.write(tmp_path / "good.wav", speech_like(1.0), RATE_HZ)
    (tmp_path / "bad.wav").write_text("no audio")
    good, bad = str(tmp_path / "good.wav"), str(tmp_path / "bad.wav")
    utterances = [
        Utterance("a", good, "Hola.", "es", "train", speaker="s"),
        Utterance("b", bad, "Hola.", "es", "train"),
        Utterance("c", bad, "Hola.", "es", "train"),
        Utterance("d", good, "word " * 500, "es", "train"),
        Utterance("e", good, "…", "es", "train"),
    ]
    rows = rows_of(utterances, scratch, Text(remove_punctuation=True))
    assert [row.id if isinstance(row, Rejected) else row["id"] for row in rows] == list("abcde")
    assert [row.reason for row in rows[1:]] == ["undecodable audio"] * 2 + ["too long text", "empty text"]
    assert (rows[0]["text"], rows[0]["trained_text"], rows[0]["speaker"]) == ("Hola.", "Hola", "s")
    assert rows[0]["log_mel"].shape == (80, 102) and rows[0]["duration_s"] == 1.0


def test_a_recording_is_opened_once_for_all_its_pieces(tmp_path, scratch, opened):
    soundfile.write(tmp_path / "long.wav", speech_like(5.0), RATE_HZ)
    audio = str(tmp_path / "long.wav")
    pieces = [Utterance(f"{n}", audio, "Uno.", "es", "train", start_s=float(n), duration_s=1.0) for n in range(7)]
    rows = rows_of(pieces, scratch)
    assert len(opened) == 1
    assert [isinstance(row, Rejected) for row in rows] == [False] * 5 + [True] * 2
    assert [row.reason for row in rows[5:]] == ["empty audio"] * 2


def copies(utterance, speeds=(0.9, 1.1), kinds=tuple(KINDS)):
    fields = {"audio": utterance.audio, "text": utterance.text, "language": "es", "split": "train"}
    fields |= {"start_s": utterance.start_s, "duration_s": utterance.duration_s}
    yield utterance
    yield from (Utterance(f"{utterance.id}~{speed}", speed=speed, **fields) for speed in speeds)
    yield from (Utterance(f"{utterance.id}~{kind}", augment=kind, **fields) for kind in kinds)


def test_copies_are_made_from_what_was_decoded_once(tmp_path, scratch, decoded):
    soundfile.write(tmp_path / "long.wav", speech_like(5.0), RATE_HZ, subtype="FLOAT")
    audio = str(tmp_path / "long.wav")
    pieces = [Utterance(f"{n}", audio, "Uno.", "es", "train", start_s=float(n), duration_s=1.0) for n in (1, 3)]
    rows = rows_of([copy for piece in pieces for copy in copies(piece)], scratch)
    assert decoded == [(RATE_HZ, RATE_HZ), (3 * RATE_HZ, RATE_HZ)]
    assert [row["id"] for row in rows[:6]] == ["1", "1~0.9", "1~1.1", "1~noise", "1~reverberation", "1~telephone"]
    durations_s = [row["duration_s"] for row in rows[:6]]
    assert durations_s == pytest.approx([1, 1 / 0.9, 1 / 1.1, 1, 1, 1], abs=1e-4)
    assert len({row["digest"] for row in rows}) == len(rows) == 12
    np.testing.assert_array_equal(rows[6]["log_mel"], log_mel(speech_like(5.0)[3 * RATE_HZ : 4 * RATE_HZ]))


def test_a_copy_is_the_same_whatever_was_decoded_before(tmp_path, scratch):
    soundfile.write(tmp_path / "clip.wav", speech_like(2.0), 22_050)
    rows = list(copies(Utterance("a", str(tmp_path / "clip.wav"), "Uno.", "es", "train")))
    together = rows_of(rows, scratch)
    for row, expected in zip(rows, together, strict=True):
        (alone,) = rows_of([row], scratch)
        np.testing.assert_array_equal(alone["log_mel"], expected["log_mel"])
        assert alone["digest"] == expected["digest"]


def test_each_copy_is_limited_by_its_own_duration(tmp_path, scratch):
    soundfile.write(tmp_path / "clip.wav", speech_like(29.0), RATE_HZ)
    soundfile.write(tmp_path / "longer.wav", speech_like(32.0), RATE_HZ)

    def reasons(name):
        rows = rows_of(copies(Utterance("a", str(tmp_path / name), "Uno.", "es", "train"), kinds=()), scratch)
        return [row.reason if isinstance(row, Rejected) else None for row in rows]

    assert reasons("clip.wav") == [None, "too long", None]
    assert reasons("longer.wav") == ["too long", "too long", None]
