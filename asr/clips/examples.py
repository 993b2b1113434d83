"""Utterances -> rows of a shard: decoded, measured, transformed and tokenised, or the reason why not."""

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import groupby
from typing import Any

from asr.clips.ahead import Ahead, Cells
from asr.clips.audio import Clip, clip, read_piece
from asr.clips.recordings import BadAudio, Recording, recording
from asr.clips.text import trained_text
from asr.clips.tokens import Labeller
from asr.features import log_mel
from asr.params import Audio, Text
from asr.utterances import Rejected, Seconds, Utterance


def examples(
    utterances: Iterable[Utterance], audio: Audio, text: Text, labeller: Labeller
) -> Iterator[dict[str, Any] | Rejected]:
    """One for each utterance, in order. Pieces of a recording that stand side by side are read by one opening."""
    recordings = [(place, list(pieces)) for place, pieces in groupby(utterances, key=lambda row: (row.audio, row.row))]
    files = ((path, sum(row.source_bytes for row in pieces)) for (path, row), pieces in recordings if row is None)
    with Ahead(files) as ahead, Cells() as cells:
        for (path, row), pieces in recordings:
            waiting = pieces[::-1]
            try:
                with recording(path, ahead.open_read if row is None else partial(cells.open_read, row=row)) as file:
                    last = LastPiece(file)
                    while waiting:
                        utterance = waiting.pop()
                        try:
                            spoken = last.clip(utterance, audio)
                        except BadAudio as bad:
                            yield Rejected(utterance.id, bad.reason, bad.detail)
                        else:
                            yield example(utterance, spoken, text, labeller)
            except BadAudio as bad:
                yield from (Rejected(utterance.id, bad.reason, bad.detail) for utterance in reversed(waiting))


class LastPiece:
    """The piece of a recording that was read last: copies of an utterance follow it, and are made from it."""

    def __init__(self, file: Recording) -> None:
        self._file = file
        self._times: tuple[Seconds, Seconds | None] | None = None

    def clip(self, utterance: Utterance, rules: Audio) -> Clip:
        """Raises `BadAudio`."""
        times = (utterance.start_s, utterance.duration_s)
        if times != self._times:
            self._times = None
            self._piece = read_piece(self._file, *times, rules.max_s * utterance.speed)
            self._times = times
        return clip(self._piece, rules, utterance.speed, utterance.augment, utterance.id)


def example(utterance: Utterance, spoken: Clip, rules: Text, labeller: Labeller) -> dict[str, Any] | Rejected:
    """The row of one clip: the columns of asr.shards.SCHEMA, `log_mel` still float32 `(M, T)`."""
    text = trained_text(utterance.text, rules, utterance.language)
    if not text:
        return Rejected(utterance.id, "empty text", f"the text rules leave nothing of {utterance.text!r}")
    labels = labeller.labels(text, utterance.language)
    if len(labels) > labeller.front_end.max_labels:
        detail = f"{len(labels)} labels are over the decoder's {labeller.front_end.max_labels}"
        return Rejected(utterance.id, "too long text", detail)
    return {
        "id": utterance.id,
        "log_mel": log_mel(spoken.samples, labeller.front_end.n_mels),
        "labels": labels,
        "text": utterance.text,
        "trained_text": text,
        "language": utterance.language,
        "duration_s": spoken.duration_s,
        "timed": utterance.timed,
        "speaker": utterance.speaker,
        "source": utterance.source,
        "peak": spoken.peak,
        "rms": spoken.rms,
        "clipped_share": spoken.clipped_share,
        "head_rms": spoken.head_rms,
        "tail_rms": spoken.tail_rms,
        "digest": spoken.digest,
    }
