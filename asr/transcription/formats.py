"""A transcript -> text, subtitles (SRT, WebVTT) or JSON."""

import html
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from asr.transcription.transcript import Transcript, Word
from asr.utterances import Seconds

# What people read with ease: two lines of 42 letters, no longer than 7 seconds (Netflix' and the BBC's guides).
LINE_LENGTH = 42
CUE_LENGTH, CUE_S = 2 * LINE_LENGTH, 7.0
SHORTEST_S = 0.02  # what is shown for no time is no cue to WebVTT
PAUSE_S = 1.0  # between two words ends a cue
SENTENCE_ENDS = tuple(".!?…。！？।؟")


@dataclass(frozen=True)
class Cue:
    """What stands under a picture at once."""

    start_s: Seconds
    end_s: Seconds
    lines: Sequence[str]


def as_text(transcript: Transcript, about: Mapping[str, Any]) -> str:
    """A line a segment."""
    return "".join(f"{segment.text}\n" for segment in transcript.segments)


def as_srt(transcript: Transcript, about: Mapping[str, Any]) -> str:
    """SubRip, as of https://www.matroska.org/technical/subtitles.html."""
    blocks = [
        "\n".join([str(number), f"{_clock(cue.start_s, ',')} --> {_clock(cue.end_s, ',')}", *cue.lines])
        for number, cue in enumerate(cues(transcript), 1)
    ]
    return "\n\n".join(blocks) + "\n" if blocks else ""


def as_vtt(transcript: Transcript, about: Mapping[str, Any]) -> str:
    """WebVTT (https://www.w3.org/TR/webvtt1), which takes `<` and `&` for markup."""
    blocks = [
        "\n".join(
            [f"{_clock(cue.start_s, '.')} --> {_clock(cue.end_s, '.')}"]
            + [html.escape(line, quote=False) for line in cue.lines]
        )
        for cue in cues(transcript)
    ]
    return "\n\n".join(["WEBVTT", *blocks]) + "\n"


def as_json(transcript: Transcript, about: Mapping[str, Any]) -> str:
    """All that is known, with `about` at its head; times in seconds, confidences from 0 to 1."""
    content = {
        **about,
        "language": transcript.language,
        "duration_s": round(transcript.duration_s, 3),
        "text": transcript.text,
        "confidence": round(transcript.confidence, 4),
        "segments": [
            {
                "start_s": round(segment.start_s, 3),
                "end_s": round(segment.end_s, 3),
                "text": segment.text,
                "confidence": round(segment.confidence, 4),
                "words": [
                    {
                        "text": word.text.strip(),
                        "start_s": round(word.start_s, 3),
                        "end_s": round(word.end_s, 3),
                        "confidence": round(word.confidence, 4),
                    }
                    for word in segment.words
                ],
            }
            for segment in transcript.segments
        ],
    }
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"


Format = Callable[[Transcript, Mapping[str, Any]], str]
FORMATS: Mapping[str, Format] = {"txt": as_text, "srt": as_srt, "vtt": as_vtt, "json": as_json}


def cues(transcript: Transcript) -> Iterator[Cue]:
    """No cue goes over a segment's end, a pause, a sentence's end past half a cue, or what can be read at once."""
    for segment in transcript.segments:
        held: list[Word] = []
        for word in segment.words:
            if held and _is_full(held, word):
                yield _cue(held)
                held = []
            held.append(word)
        if held:
            yield _cue(held)


def _is_full(held: Sequence[Word], word: Word) -> bool:
    length = sum(len(other.text) for other in held)
    ends = held[-1].text.endswith(SENTENCE_ENDS) and length >= LINE_LENGTH
    is_over = length + len(word.text.rstrip()) > CUE_LENGTH or word.end_s - held[0].start_s > CUE_S
    return ends or is_over or word.start_s - held[-1].end_s > PAUSE_S


def _cue(words: Sequence[Word]) -> Cue:
    start_s = words[0].start_s
    return Cue(start_s, max(words[-1].end_s, start_s + SHORTEST_S), _lines(words))


def _lines(words: Sequence[Word]) -> list[str]:
    """One line, or two whose lengths are as like as can be."""
    text = "".join(word.text for word in words).strip()
    if len(text) <= LINE_LENGTH or len(words) < 2:
        return [text]
    halves = [
        ("".join(word.text for word in words[:n]).strip(), "".join(word.text for word in words[n:]).strip())
        for n in range(1, len(words))
    ]
    first, second = min(halves, key=lambda two: abs(len(two[0]) - len(two[1])))
    return [first, second]


def _clock(seconds: Seconds, point: str) -> str:
    """As 01:02:03.456."""
    whole_ms = round(seconds * 1000)
    whole_s, ms = divmod(whole_ms, 1000)
    return f"{whole_s // 3600:02}:{whole_s // 60 % 60:02}:{whole_s % 60:02}{point}{ms:03}"
