"""What was said and what was heard -> where the two differ, word by word."""

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

import jiwer

from asr.evaluate.normalize import normalize, written_without_spaces

MAX_EXTRA_WORDS = 12  # a loop can add hundreds of words; so many of them are shown in a row


@dataclass(frozen=True)
class Piece:
    """A stretch of an alignment: `equal`, `minor` (differs only in writing), `substitute`, `delete` or `insert`."""

    kind: str
    reference: str
    hypothesis: str


def align(reference: str, hypothesis: str, language: str) -> Iterator[Piece]:
    """The texts as written, word by word, as jiwer aligns them.

    Where there are no spaces character by character, each with the marks on it; those that were taken for others in a
    row are one piece.
    """
    by_character = written_without_spaces(language)
    units = {"reference_transform": _Characters(), "hypothesis_transform": _Characters()} if by_character else {}
    aligned = jiwer.process_words(reference, hypothesis, **units)
    joint = "" if by_character else " "
    said, heard = aligned.references[0], aligned.hypotheses[0]
    for chunk in aligned.alignments[0]:
        ours, theirs = said[chunk.ref_start_idx : chunk.ref_end_idx], heard[chunk.hyp_start_idx : chunk.hyp_end_idx]
        if chunk.type == "substitute":
            pieces = (Piece(_kind(one, other, language), one, other) for one, other in zip(ours, theirs, strict=True))
            yield from _joined(pieces) if by_character else pieces
            continue
        if chunk.type == "insert" and len(theirs) > MAX_EXTRA_WORDS:
            theirs = [*theirs[:MAX_EXTRA_WORDS], f" … (+{len(theirs) - MAX_EXTRA_WORDS})"]
        yield Piece(chunk.type, joint.join(ours), joint.join(theirs))


def _kind(said: str, heard: str, language: str) -> str:
    return "minor" if normalize(said, language) == normalize(heard, language) else "substitute"


def _joined(pieces: Iterator[Piece]) -> Iterator[Piece]:
    """Neighbours of one kind as one."""
    for kind, group in groupby(pieces, key=lambda piece: piece.kind):
        row = list(group)
        yield Piece(kind, "".join(piece.reference for piece in row), "".join(piece.hypothesis for piece in row))


class _Characters(jiwer.AbstractTransform):
    """Texts -> their characters, in a list each. A mark (Unicode M) can't be shown apart from what it is written on."""

    def process_string(self, s: str) -> list[list[str]]:
        characters: list[str] = []
        for character in s.strip():
            if characters and unicodedata.category(character).startswith("M"):
                characters[-1] += character
            else:
                characters.append(character)
        return [characters]

    def process_list(self, inp: list[str]) -> list[list[str]]:
        return [self.process_string(text)[0] for text in inp]
