"""Sentences and sixteen eSpeak NG voices -> FLAC files and their utterances, a corpus that needs no download.

No sentence is spoken twice in a language, so that none of the test split is in train, and each split has voices of its
own. All is drawn from `data.seed`: the same params give the same bytes, however many processes speak.
"""

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from queue import SimpleQueue
from typing import Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt
import soundfile
from scipy.fft import irfft, next_fast_len, rfft

from asr.corpora.espeak import RATE_HZ, Speaker
from asr.corpora.grammar import load_grammar, sentences
from asr.errors import UserError
from asr.params import Data
from asr.progress import track
from asr.utterances import Rejected, Seconds, Split, Utterance

Noise: TypeAlias = Literal["white", "pink", "hum"]

# Variants of eSpeak NG; women and men in every split.
VOICES: dict[Split, tuple[str, ...]] = {
    "train": ("f1", "m1", "f2", "m2", "f4", "m3", "Annie", "m5", "steph", "m7", "Michael"),
    "validation": ("linda", "m6"),
    "test": ("f3", "m4", "f5"),
}
MAINS_HZ = 50.0  # of the hum


@dataclass(frozen=True, slots=True)
class Clip:
    """What is said and how: all that decides the bytes of one file."""

    id: str
    language: str
    split: Split
    text: str
    voice: str
    rate_wpm: int
    pitch: int
    pitch_range: int
    lead_s: Seconds
    noise: Noise
    snr_db: float
    peak_dbfs: float
    seed: int


def plan(data: Data) -> list[Clip]:
    """The clips of all languages, in the order of their ids. Raises `UserError` for fewer than a clip a split."""
    languages = list(dict.fromkeys(data.synthetic.languages))
    declared: dict[Split, float] = {"test": data.split.test, "validation": data.split.validation}
    shares = {split: share for split, share in declared.items() if share}
    fewest = len(languages) * (len(shares) + 1)
    if data.synthetic.utterances < fewest:
        raise UserError(
            f"data.synthetic.utterances: {data.synthetic.utterances} is too few for every split of "
            f"{len(languages)} languages; take {fewest} or more"
        )
    n_each, n_over = divmod(data.synthetic.utterances, len(languages))
    return [
        clip
        for place, language in enumerate(languages)
        for clip in _clips(language, n_each + (place < n_over), shares, data.seed)
    ]


def synthesise(clips: list[Clip], corpus: Path, n_processes: int) -> Iterator[Utterance | Rejected]:
    """Writes the file of each clip, and yields its row, in the order of `clips`."""
    for language in {clip.language for clip in clips}:
        (corpus / language).mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        idle: SimpleQueue[Speaker] = SimpleQueue()
        for _ in range(n_processes):
            idle.put(stack.enter_context(Speaker()))

        def row(clip: Clip) -> Utterance | Rejected:
            speaker = idle.get()
            try:
                speech = speaker.speak(
                    clip.text, f"{clip.language}+{clip.voice}", clip.rate_wpm, clip.pitch, clip.pitch_range
                )
            except OSError as error:
                return Rejected(clip.id, "eSpeak NG failed", str(error))
            finally:
                idle.put(speaker)
            return _write(clip, record(clip, speech), corpus)

        # The speaking is done in processes, mixing and FLAC in libraries that let go of the interpreter: threads do.
        executor = stack.enter_context(ThreadPoolExecutor(n_processes))
        yield from track(executor.map(row, clips), "Speaking", total=len(clips))


def record(clip: Clip, speech: bytes) -> npt.NDArray[np.int16]:
    """Speech (little-endian int16) -> int16 `(N,)` at `RATE_HZ`, with lead, noise and level as `clip` has them."""
    voice = np.concatenate([np.zeros(round(clip.lead_s * RATE_HZ)), np.frombuffer(speech, dtype="<i2")])
    sound = noise(clip.noise, len(voice), np.random.default_rng(clip.seed))
    ratio = 10 ** (-clip.snr_db / 20)
    mixed = voice + sound * ratio * np.sqrt(np.mean(voice**2) / np.mean(sound**2))
    peak = 10 ** (clip.peak_dbfs / 20) * np.iinfo(np.int16).max
    return np.rint(mixed * peak / max(np.abs(mixed).max(), 1e-9)).astype(np.int16)


def noise(kind: Noise, n_samples: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """`n_samples` at `RATE_HZ`, at whatever level: white, pink (power falls as 1/f), or the hum of the mains."""
    if kind == "hum":
        phase = 2 * np.pi * (MAINS_HZ * np.arange(n_samples) / RATE_HZ + rng.random())
        return sum((np.sin(k * phase) / k for k in range(1, 5)), start=np.zeros(n_samples))
    if kind == "white":
        return rng.standard_normal(n_samples)
    spectrum = rfft(rng.standard_normal(next_fast_len(n_samples, real=True)))
    return irfft(spectrum / np.sqrt(np.maximum(np.arange(len(spectrum)), 1)))[:n_samples]


def _clips(language: str, n: int, shares: dict[Split, float], seed: int) -> Iterator[Clip]:
    rng = random.Random(f"{seed}/{language}")
    splits = _splits(n, shares)
    rng.shuffle(splits)
    voices = {split: cycle(rng.sample(names, len(names))) for split, names in VOICES.items()}
    texts = sentences(load_grammar(language), n, rng)
    for number, (split, text) in enumerate(zip(splits, texts, strict=True), start=1):
        yield Clip(
            id=f"{language}-{number:05}",
            language=language,
            split=split,
            text=text,
            voice=next(voices[split]),
            rate_wpm=rng.randint(130, 190),
            pitch=rng.randint(35, 65),
            pitch_range=rng.randint(35, 75),
            lead_s=rng.uniform(0.05, 0.3),
            noise=rng.choice(get_args(Noise)),
            snr_db=rng.uniform(10, 35),
            peak_dbfs=rng.uniform(-15, -1),
            seed=rng.getrandbits(63),
        )


def _splits(n: int, shares: dict[Split, float]) -> list[Split]:
    """A split for each of `n` clips: by the shares, the rest train, and at least one of each."""
    splits: list[Split] = []
    for place, (split, share) in enumerate(shares.items()):
        n_kept = len(shares) - place  # one for each split to come, and one for train
        splits += [split] * min(max(1, round(share * n)), n - len(splits) - n_kept)
    return splits + ["train"] * (n - len(splits))


def _write(clip: Clip, samples: npt.NDArray[np.int16], corpus: Path) -> Utterance:
    path = corpus / clip.language / f"{clip.id}.flac"
    soundfile.write(path, samples, RATE_HZ, subtype="PCM_16")
    return Utterance(
        id=clip.id,
        audio=str(path),
        text=clip.text,
        language=clip.language,
        split=clip.split,
        speaker=clip.voice,
        duration_s=len(samples) / RATE_HZ,
        source_bytes=path.stat().st_size,
    )
