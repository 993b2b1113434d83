"""Manifests of lhotse (lhotse.readthedocs.io), which its hundred recipes write -> utterances.

Cuts, or recordings and supervisions, as JSONL, mostly .gz. A file's name says the split. They are read without lhotse,
which needs torch, and of which this would use the JSON reader alone.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from asr.params import Data
from asr.sources import files
from asr.sources.guess import mismatch
from asr.sources.layout import Finder, Place, listing_of, places, seconds, sized, split_in, utterance
from asr.sources.layout import listing as _listing
from asr.storage import is_remote
from asr.utterances import Rejected, Utterance

Item = dict[str, Any]


def utterances(data: Data, corpus: Path) -> Iterator[Utterance | Rejected]:
    """A supervision each. Raises `UserError` where there are no manifests."""
    yield from sized(_rows(data))


def listing(data: Data) -> Iterator[tuple[str, str]]:
    yield from _listing(data)
    yield from listing_of(sorted({row.audio for row in _rows(data) if isinstance(row, Utterance)}))


def _rows(data: Data) -> Iterator[Utterance | Rejected]:
    kinds: dict[str, list[tuple[Place, Path]]] = {"cuts": [], "recordings": [], "supervisions": []}
    for place in places(data):
        found = [(kind, path) for path in _candidates(place.path) if (kind := _kind(path))]
        if not found:
            wanted = "*.jsonl(.gz) of cuts, or of recordings and supervisions"
            raise mismatch(place.path, "lhotse", wanted)
        for kind, path in found:
            kinds[kind].append((place, path))
    for place, path in kinds["cuts"]:
        yield from _of_cuts(data, place, path)
    if kinds["supervisions"]:
        yield from _of_supervisions(data, kinds["recordings"], kinds["supervisions"])


def _candidates(path: Path) -> list[Path]:
    return [path] if path.is_file() else sorted([*path.rglob("*.jsonl"), *path.rglob("*.jsonl.gz")])


def _kind(path: Path) -> str | None:
    """What a manifest has in its lines, by its first."""
    _, first = next(files.objects(path), (0, {}))
    if isinstance(first, Rejected):
        return None
    if "supervisions" in first or first.get("type", "").endswith("Cut"):
        return "cuts"
    if "sources" in first:
        return "recordings"
    return "supervisions" if "recording_id" in first and "duration" in first else None


def _of_cuts(data: Data, place: Place, path: Path) -> Iterator[Utterance | Rejected]:
    find = Finder(path.parent)
    for _, cut in files.objects(path):
        if isinstance(cut, Rejected):
            yield cut
            continue
        name = str(cut.get("id"))
        if "tracks" in cut:
            yield Rejected(name, "mixed cut", "it is laid over others; write it to a file with lhotse")
            continue
        spoken_in_it = cut.get("supervisions", [])
        if not isinstance(spoken_in_it, list):
            yield Rejected(name, "bad row", f"its supervisions are no list, but {type(spoken_in_it).__name__}")
            continue
        for spoken in spoken_in_it:
            # Times of a supervision count from where its cut begins.
            yield _row(data, place, path, spoken, cut.get("recording"), find, seconds(cut.get("start", 0)))


def _of_supervisions(
    data: Data, recordings: list[tuple[Place, Path]], supervisions: list[tuple[Place, Path]]
) -> Iterator[Utterance | Rejected]:
    known: dict[str, tuple[Item | None, Finder]] = {}
    for _, path in recordings:
        find = Finder(path.parent)
        for _, item in files.objects(path):
            if not isinstance(item, Rejected):
                known.setdefault(str(item.get("id")), (item, find))
    for place, path in supervisions:
        nowhere = (None, Finder(path.parent))
        for _, spoken in files.objects(path):
            if isinstance(spoken, Rejected):
                yield spoken
            else:
                recording, find = known.get(str(spoken.get("recording_id")), nowhere)
                yield _row(data, place, path, spoken, recording, find, 0.0)


def _row(
    data: Data, place: Place, path: Path, spoken: Item, recording: Item | None, find: Finder, offset_s: float
) -> Utterance | Rejected:
    try:
        return _utterance(data, place, path, spoken, recording, find, offset_s)
    except (AttributeError, KeyError, TypeError) as error:
        name = str(spoken.get("id")) if isinstance(spoken, dict) else path.name
        return Rejected(name, "bad row", f"not as lhotse writes it: {type(error).__name__}: {error}")


def _utterance(
    data: Data, place: Place, path: Path, spoken: Item, recording: Item | None, find: Finder, offset_s: float
) -> Utterance | Rejected:
    name = str(spoken.get("id"))
    refused = _refused(name, spoken, recording)
    if refused or recording is None:
        return refused or Rejected(
            name, "missing audio", f"no recording {spoken.get('recording_id')!r} in the manifests"
        )
    start_s = round(offset_s + seconds(spoken.get("start", 0)), 6)  # 0.3 - 0.1 - 0.2 is below 0
    duration_s = seconds(spoken.get("duration"))
    return utterance(
        data,
        name,
        find(recording["sources"][0]["source"]),
        str(spoken.get("text") or ""),
        language=spoken.get("language"),
        split=place.split or split_in(path.name.partition(".jsonl")[0]),
        speaker=None if spoken.get("speaker") is None else str(spoken["speaker"]),
        start_s=start_s,
        duration_s=duration_s,
        # Recipes give a whole file's length where the corpus has no times.
        timed=duration_s < seconds(recording.get("duration")),
    )


def _refused(name: str, spoken: Item, recording: Item | None) -> Rejected | None:
    """Why a recording is not read as it is."""
    if recording is None:
        return None
    sources = recording.get("sources", [])
    kinds = {source.get("type") for source in sources}
    if len(sources) != 1 or not (kinds == {"file"} or (kinds == {"url"} and is_remote(sources[0]["source"]))):
        said = f"{len(sources)} sources of type {', '.join(sorted(map(str, kinds)))}"
        return Rejected(name, "not a file", f"{said}; write it to a file with lhotse (save_audios)")
    if recording.get("transforms"):
        return Rejected(name, "transformed audio", "lhotse would change it as it is read; write it with save_audios")
    channels = spoken.get("channel", 0)
    heard = set(channels) if isinstance(channels, list) else {channels}
    if len(sources[0].get("channels", [0])) > 1 and heard != set(sources[0]["channels"]):
        return Rejected(name, "one channel of several", "channels are mixed here; write it to a file of its own")
    return None
