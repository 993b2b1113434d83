"""What was said and what was heard -> where the two differ, word by word."""

from collections.abc import Iterator
from dataclasses import dataclass

import jiwer

from asr.normalize import normalize, written_without_spaces

MAX_EXTRA_WORDS = 12  # a loop can add hundreds of words; so many of them are shown in a row


@dataclass(frozen=True)
class Piece:
    """A stretch of an alignment: `equal`, `minor` (differs only in writing), `substitute`, `delete` or `insert`."""

    kind: str
    reference: str
    hypothesis: str


def align(reference: str, hypothesis: str, language: str) -> Iterator[Piece]:
    """The texts as written, word by word (character by character where there are no spaces), as jiwer aligns them."""
    by_character = written_without_spaces(language)
    aligned = (jiwer.process_characters if by_character else jiwer.process_words)(reference, hypothesis)
    joint = "" if by_character else " "
    said, heard = aligned.references[0], aligned.hypotheses[0]
    for chunk in aligned.alignments[0]:
        ours, theirs = said[chunk.ref_start_idx : chunk.ref_end_idx], heard[chunk.hyp_start_idx : chunk.hyp_end_idx]
        if chunk.type == "substitute":
            for one, other in zip(ours, theirs, strict=True):
                same = normalize(one, language) == normalize(other, language)
                yield Piece("minor" if same else "substitute", one, other)
            continue
        if chunk.type == "insert" and len(theirs) > MAX_EXTRA_WORDS:
            theirs = [*theirs[:MAX_EXTRA_WORDS], f" … (+{len(theirs) - MAX_EXTRA_WORDS})"]
        yield Piece(chunk.type, joint.join(ours), joint.join(theirs))
