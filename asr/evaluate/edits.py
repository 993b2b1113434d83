"""References and what was heard -> the edits between them: jiwer aligns each utterance once. `N` utterances."""

from collections.abc import Sequence

import jiwer
import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.float64]  # (N, 4): substitutions, insertions, deletions, units of the reference


def edits(references: Sequence[str], hypotheses: Sequence[str], characters: bool = False) -> Counts:
    """Edits of each utterance, in words as jiwer splits them or in characters: (N, 4), see `Counts`."""
    if not references:  # jiwer takes no utterance for an empty one
        return np.zeros((0, 4))
    process = jiwer.process_characters if characters else jiwer.process_words
    aligned = process(list(references), list(hypotheses))
    table = np.zeros((len(references), 4))
    for row, (chunks, reference) in enumerate(zip(aligned.alignments, aligned.references, strict=True)):
        for chunk in chunks:
            if chunk.type == "substitute":
                table[row, 0] += chunk.ref_end_idx - chunk.ref_start_idx
            elif chunk.type == "insert":
                table[row, 1] += chunk.hyp_end_idx - chunk.hyp_start_idx
            elif chunk.type == "delete":
                table[row, 2] += chunk.ref_end_idx - chunk.ref_start_idx
        table[row, 3] = len(reference)
    return table
