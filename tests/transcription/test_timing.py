"""When tokens were said: the cheapest way against transformers' own, and times and confidences of a real clip."""

import numpy as np
import pytest
import torch
from transformers.models.whisper.generation_whisper import _dynamic_time_warping

from asr.transcription.timing import entries


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (5, 5), (7, 40), (12, 3)])
def test_the_cheapest_way_is_that_of_transformers(shape):
    for seed in range(20):
        cost = np.random.default_rng(seed).standard_normal(shape)
        rows, columns = _dynamic_time_warping(cost)
        expected = [int(columns[rows == row].min()) for row in range(shape[0])]
        assert entries(cost).tolist() == expected


def test_a_token_begins_where_its_heads_begin_to_look():
    weights = np.zeros((3, 10))
    weights[0, :4] = weights[1, 4:6] = weights[2, 6:] = 1
    assert entries(-weights).tolist() == [0, 4, 6]


def test_half_of_the_layers_are_taken_where_nobody_has_looked(scratch):
    from asr.evaluate.decode import load
    from asr.transcription.timing import heads_of

    network = load(scratch, torch.float32)
    network.generation_config.alignment_heads = None
    assert heads_of(network) == [(1, 0)]
