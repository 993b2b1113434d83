import soundfile

from asr import examples as module
from asr.examples import examples
from asr.features import RATE_HZ
from asr.params import Audio, Text
from asr.tokens import Labeller
from asr.utterances import Rejected, Utterance
from tests.builders import speech_like


def rows_of(utterances, scratch, text=None):
    return list(examples(utterances, Audio(), text or Text(), Labeller(scratch)))


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


def test_a_recording_is_opened_once_for_all_its_pieces(tmp_path, scratch, monkeypatch):
    soundfile.write(tmp_path / "long.wav", speech_like(5.0), RATE_HZ)
    opened, recording = [], module.recording
    monkeypatch.setattr(module, "recording", lambda path: opened.append(path) or recording(path))
    audio = str(tmp_path / "long.wav")
    pieces = [Utterance(f"{n}", audio, "Uno.", "es", "train", start_s=float(n), duration_s=1.0) for n in range(7)]
    rows = rows_of(pieces, scratch)
    assert len(opened) == 1
    assert [isinstance(row, Rejected) for row in rows] == [False] * 5 + [True] * 2
    assert [row.reason for row in rows[5:]] == ["empty audio"] * 2
