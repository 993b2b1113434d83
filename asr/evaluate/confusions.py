"""Normalised references and hypotheses -> the words that are most often heard as another, for the report."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import jiwer

from asr.evaluate.normalize import written_without_spaces

N_CONFUSIONS = 20


def confusions(
    references: Sequence[str],
    after: Sequence[str],
    before: Sequence[str],
    languages: Sequence[str],
    n: int = N_CONFUSIONS,
) -> list[dict[str, Any]]:
    """The `n` commonest substitutions after training, most first: language, reference, heard, n and n_before.

    Of words, as jiwer aligns them; of characters in the languages that are written without spaces.
    """
    counts_after, counts_before = (_count(references, heard, languages) for heard in (after, before))
    ordered = sorted(counts_after.items(), key=lambda item: (-item[1], item[0]))  # equal counts by name: same every run
    return [
        {
            "language": language,
            "reference": reference,
            "heard": heard,
            "n": n_after,
            "n_before": counts_before[language, reference, heard],
        }
        for (language, reference, heard), n_after in ordered[:n]
    ]


def _count(
    references: Sequence[str], hypotheses: Sequence[str], languages: Sequence[str]
) -> Counter[tuple[str, str, str]]:
    """How often a word of a language is heard as another."""
    found: Counter[tuple[str, str, str]] = Counter()
    if not references:  # jiwer takes no utterance for an empty one
        return found
    said, heard = (
        [_units(text, language) for text, language in zip(texts, languages, strict=True)]
        for texts in (references, hypotheses)
    )
    aligned = jiwer.process_words(said, heard)
    for language, chunks, ours, theirs in zip(
        languages, aligned.alignments, aligned.references, aligned.hypotheses, strict=True
    ):
        for chunk in chunks:
            if chunk.type == "substitute":
                pairs = zip(
                    ours[chunk.ref_start_idx : chunk.ref_end_idx],
                    theirs[chunk.hyp_start_idx : chunk.hyp_end_idx],
                    strict=True,
                )
                found.update((language, one, other) for one, other in pairs)
    return found


def _units(text: str, language: str) -> str:
    """The text with spaces between what is compared."""
    return " ".join(text.replace(" ", "")) if written_without_spaces(language) else text
