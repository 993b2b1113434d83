import numpy as np
import pytest
import soundfile
from transformers import WhisperTokenizer

from asr.clips.tokens import Labeller
from asr.loading.timestamps import with_timestamps

PLAIN = 50363  # <|notimestamps|> of the multilingual checkpoints


def timed(labels, duration_s, no_timestamps=PLAIN):
    return with_timestamps(np.array(labels, np.int32), duration_s, no_timestamps)


def test_the_text_stands_between_zero_and_the_clips_duration():
    labels = [50258, 50262, 50359, PLAIN, 39, 4711, 50257]
    assert timed(labels, 1.519).tolist() == [50258, 50262, 50359, 50364, 39, 4711, 50364 + 76, 50257]


def test_an_english_only_checkpoint_has_a_shorter_prefix_and_ids_one_less():
    assert timed([50257, 50362, 4342, 50256], 2.0, 50362).tolist() == [50257, 50363, 4342, 50363 + 100, 50256]


@pytest.mark.parametrize(
    ("duration_s", "said_s"), [(0.0, 0), (0.011, 0.02), (7.6, 7.6), (7.609, 7.6), (29.995, 30), (30.0, 30), (30.1, 30)]
)
def test_times_have_steps_of_20_ms_and_end_at_30_s(duration_s, said_s):
    assert timed([50258, 50262, 50359, PLAIN, 39, 50257], duration_s)[-2] == 50364 + round(said_s * 50)


def test_the_labels_themselves_stay_as_they_are():
    labels = np.array([50258, 50262, 50359, PLAIN, 39, 50257], np.int32)
    made = with_timestamps(labels, 1.0, PLAIN)
    assert labels.tolist() == [50258, 50262, 50359, PLAIN, 39, 50257]
    assert made.dtype == np.int32 and len(made) == len(labels) + 1


def test_transformers_reads_the_times_and_texts_of_real_clips(scratch, real_clips):
    labeller, reference = Labeller(scratch), WhisperTokenizer.from_pretrained(scratch)
    for path, language, text in real_clips:
        duration_s = soundfile.info(path).duration
        labels = timed(labeller.labels(text, language), duration_s)
        reference.set_prefix_tokens(language=language, task="transcribe", predict_timestamps=True)
        assert labels[:3].tolist() == reference.prefix_tokens
        read = reference.decode(labels, output_offsets=True, skip_special_tokens=True)
        assert read["text"] == text
        assert [piece["text"] for piece in read["offsets"]] == [text]
        begin_s, end_s = read["offsets"][0]["timestamp"]
        assert begin_s == 0 and end_s == pytest.approx(duration_s, abs=0.0101)
        assert f"<|{end_s:.2f}|><|endoftext|>" in reference.decode(labels, decode_with_timestamps=True)
