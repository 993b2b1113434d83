"""Clips and labels become tensors as the padded extractor and Whisper's decoder have them."""

import numpy as np
import pyarrow as pa
import pytest
import torch

from asr.features import log_mel, pad_log_mel
from asr.loading.collation import collate_labels, fill, pieces
from asr.shards import decode_log_mel, encode_log_mel
from tests.builders import speech_like

PAD = 50257


def test_the_decoder_sees_all_but_the_last_label_and_predicts_all_but_the_first():
    batch = collate_labels([np.array([1, 2, 3, PAD, PAD]), np.array([1, 4, PAD])], PAD)
    assert batch["decoder_input_ids"].tolist() == [[1, 2, 3, PAD], [1, 4, PAD, PAD]]
    assert batch["labels"].tolist() == [[2, 3, PAD, PAD], [4, PAD, -100, -100]]
    assert batch["labels"].dtype == batch["decoder_input_ids"].dtype == torch.int64


@pytest.mark.parametrize("codec", ["float16", "uint8"])
@pytest.mark.parametrize("window", [200, 102, 100])
@pytest.mark.parametrize("loudness", [1, 1e-6])
def test_a_clip_is_filled_in_as_it_is_padded_bit_for_bit(codec, window, loudness):
    written = encode_log_mel(log_mel(np.float32(loudness) * speech_like(1.0)), codec)
    padded = torch.full((80, window), torch.nan)
    fill(padded, np.frombuffer(bytearray(written), np.uint8), codec)
    assert np.array_equal(padded.numpy(), pad_log_mel(decode_log_mel(written, 80, codec), window))


def test_the_values_of_each_row_are_taken_from_any_chunks_and_slices():
    lists = pa.chunked_array([pa.array([[1, 2], [], [3]], pa.list_(pa.int32())), pa.array([[4]], pa.list_(pa.int32()))])
    assert [piece.tolist() for piece in pieces(lists, np.dtype(np.int32))] == [[1, 2], [], [3], [4]]
    assert [piece.tolist() for piece in pieces(lists.slice(2), np.dtype(np.int32))] == [[3], [4]]
    binaries = pa.chunked_array([pa.array([b"ab", b"", b"c"])])
    assert [piece.tobytes() for piece in pieces(binaries, np.dtype(np.uint8))] == [b"ab", b"", b"c"]
    assert pieces(pa.chunked_array([pa.array([b""])]), np.dtype(np.uint8))[0].tolist() == []
