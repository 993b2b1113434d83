"""Labels of a clip whose text is known to begin and end with it -> labels that say when."""

import numpy as np
from numpy.typing import NDArray

from asr.features import FRAMES_PER_SECOND, MAX_FRAMES
from asr.utterances import Seconds

# <|0.00|> to <|30.00|> follow <|notimestamps|>: https://github.com/openai/whisper/blob/main/whisper/tokenizer.py
STEPS_PER_SECOND = 50
LAST_STEP = MAX_FRAMES // FRAMES_PER_SECOND * STEPS_PER_SECOND


def with_timestamps(labels: NDArray[np.int32], duration_s: Seconds, no_timestamps: int) -> NDArray[np.int32]:
    """`... <|notimestamps|> text <|endoftext|>` (L,) -> `... <|0.00|> text <|d.dd|> <|endoftext|>` (L + 1,).

    The last time is the clip's duration to 0.02 s, 30.00 at most. `no_timestamps` is the id of <|notimestamps|>, as in
    the checkpoint's generation config.
    """
    begin = no_timestamps + 1
    end = begin + min(round(duration_s * STEPS_PER_SECOND), LAST_STEP)
    timed = np.insert(labels, -1, end)
    timed[labels.tolist().index(no_timestamps)] = begin
    return timed
