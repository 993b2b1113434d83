"""Utterances -> rows of a shard: decoded, measured, transformed and tokenised, or the reason why not."""

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

from asr.audio import BadAudio, Clip, read_clip, recording
from asr.features import log_mel
from asr.params import Audio, Text
from asr.text import trained_text
from asr.tokens import Labeller
from asr.utterances import Rejected, Utterance


def examples(
    utterances: Iterable[Utterance], audio: Audio, text: Text, labeller: Labeller
) -> Iterator[dict[str, Any] | Rejected]:
    """One for each utterance, in order. Pieces of a recording that stand side by side are read by one opening."""
    for path, pieces in groupby(utterances, key=lambda utterance: utterance.audio):
        waiting = list(pieces)[::-1]
        try:
            with recording(path) as file:
                while waiting:
                    utterance = waiting.pop()
                    try:
                        clip = read_clip(file, utterance.start_s, utterance.duration_s, audio)
                    except BadAudio as bad:
                        yield Rejected(utterance.id, bad.reason, bad.detail)
                    else:
                        yield example(utterance, clip, text, labeller)
        except BadAudio as bad:
            yield from (Rejected(utterance.id, bad.reason, bad.detail) for utterance in reversed(waiting))


def example(utterance: Utterance, clip: Clip, rules: Text, labeller: Labeller) -> dict[str, Any] | Rejected:
    """The row of one clip: the columns of asr.shards.SCHEMA, `log_mel` still float32 `(M, T)`."""
    text = trained_text(utterance.text, rules)
    if not text:
        return Rejected(utterance.id, "empty text", f"the text rules leave nothing of {utterance.text!r}")
    labels = labeller.labels(text, utterance.language)
    if len(labels) > labeller.front_end.max_labels:
        detail = f"{len(labels)} labels are over the decoder's {labeller.front_end.max_labels}"
        return Rejected(utterance.id, "too long text", detail)
    return {
        "id": utterance.id,
        "log_mel": log_mel(clip.samples, labeller.front_end.n_mels),
        "labels": labels,
        "text": utterance.text,
        "trained_text": text,
        "language": utterance.language,
        "duration_s": clip.duration_s,
        "speaker": utterance.speaker,
        "peak": clip.peak,
        "rms": clip.rms,
        "clipped_share": clip.clipped_share,
        "digest": clip.digest,
    }
