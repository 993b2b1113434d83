"""Long recordings with subtitles (SRT, WebVTT) or TextGrids beside them -> utterances, a cue each.

`talk.srt` or `talk.es.srt` belongs to `talk.mp3`. A folder's name may say the split; otherwise recordings are cut as
speakers are, whole.
"""

import os
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from asr.languages import NAMES
from asr.params import Data
from asr.sources.cues import SUFFIXES, Cue, cues
from asr.sources.guess import mismatch
from asr.sources.layout import Place, listing, places, sized, split_of_folders, utterance
from asr.utterances import Rejected, Seconds, Utterance

__all__ = ["listing", "utterances"]

AUDIO = re.compile(r"\.(aac|aif|aiff|amr|au|caf|flac|m4a|mka|mkv|mp3|mp4|mov|oga|ogg|opus|wav|webm|wma)", re.IGNORECASE)
TOUCH_S: Seconds = 0.05  # by which cues that follow each other may overlap; players blink at less


def utterances(data: Data, corpus: Path) -> Iterator[Utterance | Rejected]:
    """The cues of each recording by time. Raises `UserError` where no file has subtitles.

    A cue that runs backwards, or overlaps another, is rejected here; one past the recording's end when that is read.
    """
    for place in places(data):
        yield from sized(_rows(data, place))


def _rows(data: Data, place: Place) -> Iterator[Utterance | Rejected]:
    recordings, texts = _found(place.path)
    if not texts:
        raise mismatch(place.path, "subtitles", "recording with a .srt, .vtt or .TextGrid of its name")
    for stem in sorted({*recordings, *texts}):
        name = place.prefix + stem
        if stem not in recordings or stem not in texts:
            reason = "no transcript" if stem in recordings else "missing audio"
            yield Rejected(name, reason, f"{(recordings.get(stem) or next(iter(texts[stem].values())))} stands alone")
            continue
        language = _language(texts[stem], data.language)
        if language is None:
            yield Rejected(name, "several transcripts", ", ".join(path.name for path in texts[stem].values()))
            continue
        split = place.split or split_of_folders(stem)
        for row in _pieces(texts[stem][language]):
            if isinstance(row, Rejected):
                yield Rejected(f"{name}@{row.id}", row.reason, row.detail)
            else:
                yield utterance(
                    data,
                    f"{name}@{row.start_s:.3f}",
                    recordings[stem],
                    row.text,
                    language=language or None,
                    split=split,
                    speaker=name,  # whoever speaks: no recording is on both sides of a cut
                    start_s=row.start_s,
                    duration_s=row.end_s - row.start_s,
                    timed=True,
                )


def _found(root: Path) -> tuple[dict[str, Path], dict[str, dict[str, Path]]]:
    """Path without ending -> the recording, and the subtitles by language ("" where the name says none)."""
    recordings: dict[str, Path] = {}
    texts: dict[str, dict[str, Path]] = defaultdict(dict)
    for folder, folders, names in os.walk(root):
        folders.sort()
        for path in (Path(folder, name) for name in sorted(names)):
            stem = path.relative_to(root).with_suffix("")
            if AUDIO.fullmatch(path.suffix):
                recordings.setdefault(stem.as_posix(), path)
            elif path.suffix.casefold() in SUFFIXES:
                language = stem.suffix.removeprefix(".").casefold().split("-")[0]
                is_named = language in NAMES
                texts[(stem.with_suffix("") if is_named else stem).as_posix()][language if is_named else ""] = path
    return recordings, texts


def _language(found: dict[str, Path], wanted: str) -> str | None:
    """Which subtitles of a recording are used: the only ones, or those in `data.language`; None if neither."""
    return next(iter(found)) if len(found) == 1 else wanted if wanted in found else None


def _pieces(path: Path) -> Iterator[Cue | Rejected]:
    """The cues by time; those that overlap are rejected, because each has words of the other."""
    read = list(cues(path))
    yield from (row for row in read if isinstance(row, Rejected))
    spoken = sorted(row for row in read if isinstance(row, Cue))
    latest_s = float("-inf")
    for place, cue in enumerate(spoken):
        following_s = spoken[place + 1].start_s if place + 1 < len(spoken) else float("inf")
        if cue.start_s < latest_s - TOUCH_S or following_s < cue.end_s - TOUCH_S:
            yield Rejected(f"{cue.start_s:.3f}", "overlapping cue", f"{cue.start_s} to {cue.end_s} s: {cue.text}")
        else:
            yield cue
        latest_s = max(latest_s, cue.end_s)
