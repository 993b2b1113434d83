"""Real clips -> what their features cost the notebook's way, in our stage, and at the floor: CPU, memory, bytes.

python benchmarks/preprocess.py [--clips 3000] [--repeats 2] [--manifest FOLDER]

Each way is a process on one core, with one thread, over the same clips. It also runs on a few clips: what these take is
the start-up, and what the full run takes over that is the other clips' cost. Figures are medians of the repeats.
"""

import argparse
import shutil
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from lib.corpora import PREPROCESS, as_flac, job_folder, real_clips
from lib.processes import Usage, measured
from lib.results import RESULTS, Target, report, table
from lib.sizes import Speech, rows_bytes, speech_of

from asr import params
from asr.corpora import manifest
from asr.models.base import fetch
from asr.utterances import Utterance

NOTEBOOK, OURS, OURS_UINT8, FLOOR = "notebook", "ours, float16", "ours, uint8", "floor"
SCRIPTS = Path(__file__).parent.resolve() / "ways"
COMMANDS = {
    NOTEBOOK: (SCRIPTS / "notebook.py", "manifest", "base", "features"),
    FLOOR: (SCRIPTS / "floor.py", "manifest", "features"),
    OURS: PREPROCESS,
    OURS_UINT8: PREPROCESS,
}
WITH_FLAC = (NOTEBOOK, FLOOR, OURS)
FEW_OF_A_LANGUAGE = 2  # clips of the run that measures the start-up
CORE = {0}
S_PER_H = 3600


@dataclass(frozen=True)
class Run:
    """One way, once: the few clips, and all of them."""

    few: Usage
    full: Usage
    n_more: int  # clips that the full run has over the few
    disk_bytes: int

    @property
    def cpu_s_a_clip(self) -> float:
        return (self.full.cpu_s - self.few.cpu_s) / self.n_more

    @property
    def wall_s_a_clip(self) -> float:
        return (self.full.wall_s - self.few.wall_s) / self.n_more


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clips = list(manifest.read(options.manifest)) if options.manifest else real_clips(folder, options.clips)
        base = options.base or folder / "base"
        if not options.base:
            fetch(params.Model(checkpoint="scratch"), base)
        runs = _runs(tuple(COMMANDS), clips, base, folder / "job", options.repeats)
        speech = speech_of(clips, folder / "job/features")
        flac = _runs(WITH_FLAC, as_flac(clips, folder / "flac"), base, folder / "job", 1)
    hours, n_languages = speech.duration_s / S_PER_H, len({clip.language for clip in clips})
    print(f"{len(clips):,} clips in {n_languages} languages, {hours:.2f} hours; each way on one core\n")
    print(_costs(runs, hours / len(clips)) + "\n\n" + _bytes(runs, speech) + "\n")
    print("The same clips as FLAC, 16 bits at 16 kHz, once: without the decoding that all ways share\n")
    print(_costs(flac, hours / len(clips)))
    measures = {
        name: {way: [asdict(run) for run in of_way] for way, of_way in each.items()}
        for name, each in {"runs": runs, "flac": flac}.items()
    }
    report("preprocess", {"speech": asdict(speech), **measures}, _targets(runs, speech), options.results)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=3000, help="at least so many of Tux Paint's, in all its languages")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--manifest", type=Path, help="folder of another corpus' manifest, instead of Tux Paint")
    parser.add_argument("--base", type=Path, help="folder of a checkpoint's tokenizer, instead of a new one's")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the JSON")
    return parser.parse_args()


def _runs(
    ways: Sequence[str], clips: Sequence[Utterance], base: Path, folder: Path, n_repeats: int
) -> dict[str, list[Run]]:
    """Each way in turn, so that all see the same machine; what the last one wrote stays in `folder`."""
    runs: dict[str, list[Run]] = defaultdict(list)
    for repeat in range(n_repeats):
        for way in ways:
            print(f"{way}, {repeat + 1} of {n_repeats}", file=sys.stderr, flush=True)
            runs[way].append(_run(way, clips, base, folder))
    return runs


def _run(way: str, clips: Sequence[Utterance], base: Path, folder: Path) -> Run:
    """Leaves what the full run wrote in `folder`, which it empties first."""
    few = _few(clips)
    codec = "uint8" if way == OURS_UINT8 else "float16"
    usages = []
    for rows in (few, clips):
        shutil.rmtree(folder, ignore_errors=True)
        job_folder(folder, rows, base, codec)
        usages.append(measured([sys.executable, *COMMANDS[way]], folder, CORE))
    return Run(usages[0], usages[1], len(clips) - len(few), rows_bytes(folder / "features"))


def _few(clips: Iterable[Utterance]) -> list[Utterance]:
    """A few of each language and split, so that all that a start-up loads is loaded."""
    taken: dict[tuple[str, str | None], list[Utterance]] = defaultdict(list)
    for clip in clips:
        group = taken[clip.language, clip.split]
        if len(group) < FEW_OF_A_LANGUAGE:
            group.append(clip)
    return [clip for group in taken.values() for clip in group]


def _costs(runs: Mapping[str, Sequence[Run]], hours_a_clip: float) -> str:
    rows = []
    for way, of_way in runs.items():
        cpu_s, wall_s = median(run.cpu_s_a_clip for run in of_way), median(run.wall_s_a_clip for run in of_way)
        rows.append(
            [
                way,
                f"{median(run.few.cpu_s for run in of_way):.1f}",
                f"{1e3 * cpu_s:.2f}",
                f"{1e3 * wall_s:.2f}",
                f"{cpu_s / hours_a_clip:.1f}",
                f"{wall_s / hours_a_clip:.1f}",
                f"{median(run.full.cpu_s for run in of_way):.1f}",
                f"{max(run.full.launcher_mb for run in of_way):,.0f}",
                f"{of_way[-1].disk_bytes / 1e6:,.1f}",
            ]
        )
    header = ["way", "start-up, CPU s", "then CPU ms a clip", "wall ms a clip", "CPU s an hour of audio"]
    return table([*header, "wall s an hour", "CPU s in all", "peak memory, MB", "rows on disk, MB"], rows)


def _bytes(runs: Mapping[str, Sequence[Run]], speech: Speech) -> str:
    sizes = {
        "the corpus' own files": speech.source_bytes,
        "FLAC, 16 bits at 16 kHz": speech.flac_bytes,
        "PCM, 16 bits at 16 kHz": speech.pcm_bytes,
        "log-Mel padded to 30 s, float32": speech.padded_bytes,
        **{way: runs[way][-1].disk_bytes for way in (NOTEBOOK, OURS, OURS_UINT8)},
    }
    smallest = runs[OURS_UINT8][-1].disk_bytes
    rows = [[name, f"{size / speech.duration_s / 1e3:,.2f}", f"{size / smallest:,.1f}"] for name, size in sizes.items()]
    return table(["the same clips as", "kB a second of audio", "to ours, uint8"], rows)


def _targets(runs: Mapping[str, Sequence[Run]], speech: Speech) -> list[Target]:
    """Costs are compared within a repeat, whose runs saw the same machine."""
    cpu = {way: [run.cpu_s_a_clip for run in of_way] for way, of_way in runs.items()}
    to_floor = median(ours / floor for ours, floor in zip(cpu[OURS], cpu[FLOOR], strict=True))
    to_ours = median(theirs / ours for theirs, ours in zip(cpu[NOTEBOOK], cpu[OURS], strict=True))
    kb = {way: runs[way][-1].disk_bytes / speech.duration_s / 1e3 for way in (OURS, OURS_UINT8)}
    return [
        Target("clips in the shards", speech.n_clips, at_least=3000),
        Target("ours to the floor, CPU a clip", to_floor, at_most=1.25),
        Target("the notebook's way to ours, CPU a clip", to_ours, at_least=6),
        Target("float16, kB a second of audio", kb[OURS], at_most=14),
        Target("uint8, kB a second of audio", kb[OURS_UINT8], at_most=6.5),
    ]


if __name__ == "__main__":
    main()
