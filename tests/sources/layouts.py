"""Small corpora of every layout that is read through data.path, written as the real ones are."""

import gzip
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import soundfile

from asr.features import RATE_HZ
from asr.utterances import SPLITS
from tests.builders import speech_like


class Said(NamedTuple):
    """A clip of each corpus: what is said in it, who says it, in which split."""

    text: str
    speaker: str
    split: str


CORPUS = [
    Said(f"{word} {split}, naïve — Ĉu?", f"{split[:2]}{n}", split)
    for split in SPLITS
    for n, word in enumerate(("Uno", "Due"))
]
SECONDS = 0.5
SPELLED = {"train": "train", "validation": "dev", "test": "test"}


def clip(path: Path, seed: int = 0, duration_s: float = SECONDS) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, speech_like(duration_s, seed), RATE_HZ)
    return path


def lines(path: Path, *rows: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")


def jsonl(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


# Common Voice 17 and later; those before have no sentence_id, sentence_domain and variant.
COLUMNS_17 = (
    "client_id path sentence_id sentence sentence_domain up_votes down_votes age gender accents variant locale segment"
)


def common_voice(root: Path, language: str = "it", columns: str = COLUMNS_17) -> None:
    """`root` is the release's folder."""
    folder = root / language
    rows: dict[str, list[str]] = {"train": [], "dev": [], "test": [], "validated": []}
    durations = ["clip\tduration[ms]"]
    for n, said in enumerate(CORPUS):
        name = f"common_voice_{language}_{100 + n}.mp3"
        clip(folder / "clips" / name, n)
        cells = {"client_id": said.speaker, "path": name, "sentence_id": f"s{n}", "sentence": said.text}
        cells |= {"up_votes": "2", "down_votes": "0", "locale": language}
        row = "\t".join(cells.get(column, "") for column in columns.split())
        rows[SPELLED[said.split]].append(row)
        rows["validated"].append(row)
        durations.append(f"{name}\t{round(SECONDS * 1000)}")
    for name, content in rows.items():
        lines(folder / f"{name}.tsv", columns.replace(" ", "\t"), *content)
    lines(folder / "clip_durations.tsv", *durations)
    lines(folder / "reported.tsv", "sentence\tsentence_id\tlocale\treason")


def fleurs(root: Path, language: str = "it_it", archived: bool = True) -> None:
    for number, split in enumerate(SPLITS):
        rows = []
        audio = root / language / "audio"
        for n, said in enumerate(said for said in CORPUS if said.split == split):
            name = f"{number}{n}000.wav"
            clip(audio / SPELLED[split] / name, n)
            spelled = " ".join(said.text) + " |"
            cells = (str(n), name, said.text, said.text.lower(), spelled, str(round(SECONDS * RATE_HZ)), "MALE")
            rows.append("\t".join(cells))
        lines(root / language / f"{SPELLED[split]}.tsv", *rows)
        if archived:
            with tarfile.open(audio / f"{SPELLED[split]}.tar.gz", "w:gz") as tar:
                tar.add(audio / SPELLED[split], SPELLED[split])
            for path in (audio / SPELLED[split]).iterdir():
                path.unlink()
            (audio / SPELLED[split]).rmdir()


def librispeech(root: Path) -> None:
    for subset in ("train-clean-100", "dev-clean", "test-other"):
        for n, said in enumerate(said for said in CORPUS if subset.startswith(SPELLED[said.split])):
            speaker = str(1000 + CORPUS.index(said))
            folder = root / subset / speaker / "7"
            clip(folder / f"{speaker}-7-0000.flac", n)
            lines(folder / f"{speaker}-7.trans.txt", f"{speaker}-7-0000 {said.text}")


def ljspeech(root: Path) -> None:
    for n, _ in enumerate(CORPUS):
        clip(root / f"wavs/LJ001-{n:04}.wav", n)
    lines(root / "metadata.csv", *(f"LJ001-{n:04}|{said.text}|{said.text.lower()}" for n, said in enumerate(CORPUS)))


def audiofolder(root: Path) -> None:
    for split in SPLITS:
        rows = []
        for n, said in enumerate(said for said in CORPUS if said.split == split):
            clip(root / split / f"{n}.wav", n)
            rows.append(f'{n}.wav,"{said.text}",{said.speaker}')
        lines(root / split / "metadata.csv", "file_name,transcription,speaker_id", *rows)


def nemo(root: Path) -> None:
    for split in SPLITS:
        rows = []
        for n, said in enumerate(said for said in CORPUS if said.split == split):
            audio = clip(root / "wavs" / f"{split}-{n}.wav", n).relative_to(root)
            rows.append({"audio_filepath": str(audio), "text": said.text, "duration": SECONDS, "speaker": said.speaker})
        jsonl(root / f"{SPELLED[split]}_manifest.json", rows)


def kaldi(root: Path) -> None:
    """`root` is a recipe's folder, from which its paths are named."""
    for split in SPLITS:
        folder = root / "data" / SPELLED[split]
        said = {f"{said.speaker}-utt": said for said in CORPUS if said.split == split}
        for n, name in enumerate(said):
            clip(root / "audio" / f"{name}.wav", n)
        lines(folder / "wav.scp", *(f"{name} audio/{name}.wav" for name in said))
        lines(folder / "text", *(f"{name} {row.text}" for name, row in said.items()))
        lines(folder / "utt2spk", *(f"{name} {row.speaker}" for name, row in said.items()))
        lines(folder / "utt2lang", *(f"{name} it" for name in said))
        lines(folder / "spk2gender", *(f"{row.speaker} m" for row in said.values()))


def lhotse(root: Path) -> None:
    for split in SPLITS:
        recordings, supervisions = [], []
        for n, said in enumerate(said for said in CORPUS if said.split == split):
            name = f"{said.speaker}-rec"
            audio = clip(root / "audio" / f"{name}.wav", n)
            size = {"sampling_rate": RATE_HZ, "num_samples": round(SECONDS * RATE_HZ), "duration": SECONDS}
            source = {"type": "file", "channels": [0], "source": str(audio.relative_to(root))}
            recordings.append({"id": name, "sources": [source], "channel_ids": [0], **size})
            times = {"start": 0.0, "duration": SECONDS, "channel": 0}
            spoken = {"id": f"{name}-0", "recording_id": name, "text": said.text, "speaker": said.speaker}
            supervisions.append({**spoken, **times, "language": "Italian"})
        jsonl(root / f"corpus_recordings_{SPELLED[split]}.jsonl.gz", recordings)
        jsonl(root / f"corpus_supervisions_{SPELLED[split]}.jsonl.gz", supervisions)


def subtitles(root: Path) -> None:
    for split in SPLITS:
        rows = [said for said in CORPUS if said.split == split]
        clip(root / split / "talk.wav", duration_s=len(rows) * SECONDS)
        cues = [
            f"{n + 1}\n00:00:0{n * SECONDS:.3f} --> 00:00:0{(n + 1) * SECONDS:.3f}\n{said.text}\n".replace(".", ",", 2)
            for n, said in enumerate(rows)
        ]
        lines(root / split / "talk.srt", *cues)


def aishell(root: Path) -> None:
    spoken = []
    for n, said in enumerate(CORPUS):
        speaker = f"S{n:04}"
        name = f"BAC009{speaker}W0{n:03}"
        clip(root / "wav" / SPELLED[said.split] / speaker / f"{name}.wav", n)
        spoken.append(f"{name} {' '.join(_segmented(said.text))}")
    lines(root / "transcript" / "aishell_transcript_v0.8.txt", *spoken)


def written(source: str, text: str) -> str:
    """How a text of `CORPUS` comes out of a source."""
    return text.replace(" ", "") if source == "aishell" else text


def _segmented(text: str) -> list[str]:
    """As the corpus has it: words, of which the spaces are no part."""
    return [text[first : first + 2] for first in range(0, len(text), 2)]


LAYOUTS: dict[str, Callable[[Path], None]] = {
    "common_voice": common_voice,
    "fleurs": fleurs,
    "librispeech": librispeech,
    "ljspeech": ljspeech,
    "audiofolder": audiofolder,
    "nemo": nemo,
    "kaldi": kaldi,
    "lhotse": lhotse,
    "subtitles": subtitles,
    "aishell": aishell,
}
