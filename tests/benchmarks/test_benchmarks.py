"""The benchmarks on tiny inputs: that their commands run, and that the ways they compare make the same features."""

import importlib
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import soundfile
from datasets import Dataset

from asr.clips.tokens import Labeller
from asr.corpora import manifest
from asr.features import MAX_FRAMES, RATE_HZ, log_mel, pad_log_mel
from asr.shards import read_examples
from asr.utterances import Utterance
from tests.builders import decoded, example, speech_like, write_features

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
N_CLIPS = 20


@dataclass(frozen=True)
class Lib:
    """The modules that the benchmarks share, which are importable from their own folder only."""

    processes: Any
    results: Any
    corpora: Any
    sizes: Any


@pytest.fixture
def lib(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    return Lib(*(importlib.import_module(f"lib.{name}") for name in ("processes", "results", "corpora", "sizes")))


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """(folder of a manifest, its rows): stereo clips of 0.3 to 1.3 s at 22 kHz."""
    folder = tmp_path_factory.mktemp("clips")
    rows = []
    for number in range(N_CLIPS):
        path = folder / f"{number}.flac"
        left, right = (speech_like(0.3 + number / 20, seed=seed, rate_hz=22_050) for seed in (number, number + 1))
        soundfile.write(path, np.stack([left, right], axis=1), 22_050)
        split = {5: "validation", 15: "test"}.get(number, "train")
        rows.append(Utterance(path.stem, str(path), "Some text.", "en", split, source_bytes=path.stat().st_size))
    manifest.write(rows, folder / "manifest")
    return folder / "manifest", rows


def run(*command: Any, cwd: Path | None = None) -> str:
    done = subprocess.run([sys.executable, *map(str, command)], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def verdicts(path: Path) -> dict[str, str]:
    return {target["claim"]: target["verdict"] for target in json.loads(path.read_text())["targets"]}


def test_what_a_command_and_its_children_take_is_measured(lib, tmp_path):
    child = "held = bytearray(300_000_000); sum(range(30_000_000)); import time; time.sleep(0.3)"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', '{child}'])"
    usage = lib.processes.measured([sys.executable, "-c", code], tmp_path, cores={0})
    assert 300 < usage.worker_mb < 400
    assert 0 < usage.launcher_mb < 100
    assert 0.1 < usage.cpu_s < usage.wall_s


def test_a_command_that_fails_ends_the_benchmark_with_what_it_said(lib, tmp_path):
    with pytest.raises(SystemExit, match="ended with 3:\nno disk"):
        lib.processes.measured([sys.executable, "-c", "print('no disk'); raise SystemExit(3)"], tmp_path)


@pytest.mark.parametrize(
    ("figure", "bound", "line"),
    [
        (1.25, {"at_most": 1.25}, "PASS  cost: 1.25 (at most 1.25)"),
        (1.26, {"at_most": 1.25}, "MISSED  cost: 1.26 (at most 1.25)"),
        (3063, {"at_least": 3000}, "PASS  cost: 3,063 (at least 3000)"),
        (5.9, {"at_least": 6}, "MISSED  cost: 5.90 (at least 6)"),
        (None, {"at_least": 6}, "NOT MEASURED  cost (at least 6)"),
    ],
)
def test_a_target_says_whether_it_is_met(lib, figure, bound, line):
    assert str(lib.results.Target("cost", figure, **bound)) == line


def test_the_floor_computes_what_we_store(clips, tmp_path):
    folder, rows = clips
    run(BENCHMARKS / "ways/floor.py", folder, tmp_path / "floor")
    first = log_mel(decoded(rows[0].audio)).astype("<f2").tobytes()
    stored = (tmp_path / "floor").read_bytes()
    assert stored.startswith(pa.Codec("zstd", 3).compress(first))


def test_the_notebooks_way_computes_what_we_train_on(clips, scratch, tmp_path):
    folder, rows = clips
    run(BENCHMARKS / "ways/notebook.py", folder, scratch, tmp_path)
    (arrow,) = tmp_path.rglob("cache-*.arrow")
    made = Dataset.from_file(str(arrow)).with_format("numpy")
    assert made.column_names == ["input_features", "labels"] and len(made) == N_CLIPS
    ours = pad_log_mel(log_mel(decoded(rows[7].audio)), MAX_FRAMES)
    np.testing.assert_allclose(made[7]["input_features"], ours, atol=2e-4)
    assert made[7]["labels"].tolist() == Labeller(scratch).labels(rows[7].text, "en")


def test_links_are_clips_of_their_own(lib, tmp_path):
    originals = lib.corpora.buzzes(tmp_path / "distinct", 2)
    rows = lib.corpora.linked_clips(tmp_path / "clips", originals, 5)
    assert len({row.id for row in rows}) == len({row.audio for row in rows}) == 5
    assert Path(rows[4].audio).samefile(originals[0])
    assert rows[4].source_bytes == originals[0].stat().st_size


def test_sizes_are_of_the_clips_that_are_in_the_shards(lib, tmp_path):
    samples = speech_like(1.0)
    for name in ("used", "rejected"):
        soundfile.write(tmp_path / f"{name}.wav", samples, RATE_HZ)
    clips = [Utterance(name, str(tmp_path / f"{name}.wav"), "Text.", "en") for name in ("used", "rejected")]
    write_features(tmp_path / "features", {"train": [example("used", duration_s=1.0)]})
    speech = lib.sizes.speech_of(clips, tmp_path / "features")
    assert (speech.n_clips, speech.duration_s) == (1, 1.0)
    assert (speech.pcm_bytes, speech.padded_bytes) == (32_000, 960_000)
    assert speech.source_bytes == 44 + 32_000  # a RIFF header
    assert 1_000 < speech.flac_bytes < 32_000


@pytest.mark.slow
def test_the_ways_are_compared_on_any_manifest(clips, scratch, tmp_path):
    options = ["--manifest", clips[0], "--base", scratch, "--repeats", 1, "--results", tmp_path]
    printed = run(BENCHMARKS / "preprocess.py", *options)
    assert "| notebook |" in printed and "| floor |" in printed
    found = verdicts(tmp_path / "preprocess.json")
    assert found["clips in the shards"] == "MISSED"
    assert len(found) == 5 and "NOT MEASURED" not in found.values()


@pytest.mark.slow
def test_scale_measures_any_sizes_and_draws_them(tmp_path):
    options = ["--sizes", 20, 40, 60, "--figure", tmp_path / "scale.svg", "--results", tmp_path]
    printed = run(BENCHMARKS / "scale.py", *options)
    assert all(f"| {size} |" in printed for size in (20, 40, 60))
    assert "thousand clips" in (tmp_path / "scale.svg").read_text()
    assert verdicts(tmp_path / "scale.json")["peak memory of a worker, MB"] == "PASS"


@pytest.mark.slow
def test_the_codecs_are_compared_with_any_checkpoint(scratch, tmp_path):
    rows = {
        split: [example(f"{split}-{n}", duration_s=1 + n / 5) for n in range(4)] for split in ("test", "validation")
    }
    write_features(tmp_path / "features", rows)
    options = ["--model", scratch, "--features", tmp_path / "features", "--clips", 3, "--results", tmp_path]
    assert "of 6 hypotheses differ" in run(BENCHMARKS / "codec.py", *options)
    assert [*verdicts(tmp_path / "codec.json").values()] == ["NOT MEASURED"]  # of so few words nothing is claimed


def test_operations_of_a_clip_are_six_a_weight_and_position_and_those_of_attention(lib):
    gpus = importlib.import_module("lib.gpus")
    size = gpus.Size(d_model=10, layers=2)
    heard, written, attention = 14 * 100 * 2, 14 * 100 * 2 + 51_865 * 10, 4 * 50**2 * 10 * 2
    assert gpus.operations_a_clip(size, 1, 3) == 6 * heard * 50 + 6 * written * 3 + 3 * attention
    clips_per_s = 0.4 * 65e12 / gpus.operations_a_clip(size, 1, 3)  # 40 % of a T4's peak
    assert gpus.gpus_fed(2 * clips_per_s, "T4", size, 1, 3) == pytest.approx(2)


def test_joined_clips_have_one_length_and_the_texts_that_begin_in_them(lib, clips, scratch, tmp_path):
    joined = importlib.import_module("lib.joined")
    rows = list(joined.rows_of(clips[1], scratch, 2.0, 12))  # the 15.5 s of all clips fill seven
    assert [row["log_mel"].shape for row in rows] == [(80, 202)] * 12
    assert " ".join(row["text"] for row in rows[:7]).count("Some text.") == N_CLIPS - 1  # the last begins at 14.25 s
    assert rows[7]["text"] == rows[0]["text"]
    np.testing.assert_array_equal(rows[0]["log_mel"][:, :20], log_mel(decoded(clips[1][0].audio))[:, :20])
    joined.write_shards(tmp_path / "few", rows, "float16")
    joined.link_shards(tmp_path / "few", tmp_path / "many", 30)
    assert len(list(read_examples(tmp_path / "many", "train"))) == 36


@pytest.mark.slow
def test_the_loaders_are_compared_on_any_manifest(clips, scratch, tmp_path):
    options = ["--manifest", clips[0], "--base", scratch, "--repeats", 1, "--results", tmp_path]
    sizes = ["--clips", 40, "--distinct", 20, "--padded", 10, "--sizes", 20, 40]
    printed = run(BENCHMARKS / "loader.py", *options, *sizes)
    assert "| datasets, streaming |" in printed and "| a bare scan of ours |" in printed and "| large |" in printed
    found = verdicts(tmp_path / "loader.json")
    assert len(found) == 4 and "NOT MEASURED" not in found.values()
