"""Disks that are full or read-only, files that may not grow, are cut off, have a flipped bit, or are gone."""

import os
import re
import resource
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest

from asr.train.attempt import Attempt
from tests.faults import disks
from tests.faults.flow import STAGES, Flow, remove
from tests.faults.table import Seen, note

DISK = "size=400m"
FILE_BYTES = 30_000
# Another stage writes by the same libraries as one of these, and says the same.
QUOTA = ("preprocess", "train")
READ_ONLY = ("listing", "prepare", "preprocess", "selection", "train")
N_HANDLES = 24
USERS_OF_TMP = ("prepare", "preprocess", "train")
ALONE = {"train": ("train",), "evaluate": ("evaluate",)}
EACH_STEP = {"CHECKPOINT_EVERY_S": "0"}


@pytest.fixture
def disk(undisturbed: Flow, tmp_path: Path) -> Iterator[Flow]:
    """A copy of the undisturbed flow on a file system of its own, in memory."""
    with disks.disk(tmp_path / "disk", DISK) as folder:
        yield undisturbed.copied(folder / "project")


def heals(flow: Flow, expected: dict[str, Any], *stages: str) -> float:
    """The next `dvc repro` (of these stages) ends as one that nothing disturbed; the seconds that it took.

    A training has a run of its own, so that DVC evaluates and exports it anew, whatever its weights: test_processes has
    that, and here `train` is enough; as is `evaluate`, which takes other seconds each time.
    """
    again = flow.repro(*stages)
    assert again.status == 0, again.said
    assert flow.outcome() == expected
    return again.wall_s


def mended(stage: str, what: str) -> str:
    """What the lines were like."""
    of_weights = stage in ("fetch", "export") or (stage == "train" and "quota" in what)
    if not of_weights:
        return "the line had no remedy and, where the error was a library's, no file"
    return "" if "full" in what else "the line said to make room"


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_a_disk_that_takes_nothing_is_a_line_and_with_room_the_stage_is_made(
    disk: Flow, expected: dict[str, Any], stage: str
) -> None:
    disk.forget(stage)
    command = STAGES[stage]["cmd"].split()[2:]
    quota = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (FILE_BYTES, FILE_BYTES))
    seen = {}
    with disks.filled(disk.folder.parent):
        seen["the disk is full"] = disk.run(*command, **EACH_STEP), "No space left on device"
    disk.remove_outs(stage)
    if stage in QUOTA:
        seen["a quota on a single file"] = disk.run(*command, before=quota, **EACH_STEP), "File too large"
    disk.remove_outs(stage)
    if stage in READ_ONLY:
        with disks.read_only(disk.folder.parent):
            seen["the folder is read-only"] = disk.run(*command, **EACH_STEP), "Read-only file system"
    for done, reason in seen.values():
        assert done.status == 1, done.said
        assert reason in done.line
        assert len(done.errors) == 1 and "Traceback" not in done.said, done.said
    healed_s = heals(disk, expected, *ALONE.get(stage, ()))
    for what, (done, _) in seen.items():
        lost_s = done.wall_s + disk.lost_s(healed_s, "listing", stage)
        note(Seen("storage", f"{stage}: {what}", done.line, "all that other stages made", lost_s, mended(stage, what)))


def flip(path: Path) -> None:
    """One bit, in what a Parquet file has before its footer."""
    content = bytearray(path.read_bytes())
    footer = int.from_bytes(content[-8:-4], "little") + 8 if path.suffix == ".parquet" else 16
    position = Random(path.name).randrange(4, len(content) - footer)
    content[position] ^= 1 << 4
    rewrite(path, bytes(content))


def cut(path: Path) -> None:
    rewrite(path, path.read_bytes()[: path.stat().st_size // 2])


def rewrite(path: Path, content: bytes) -> None:
    """In its place, where DVC's cache has it too, and with its time, as a failing disk does."""
    stat = path.stat()
    path.chmod(0o644)
    path.write_bytes(content)
    path.chmod(stat.st_mode)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


Harm = Callable[[Path], None]
SHARD, BASE, MODEL = "features/train/00000.parquet", "base/model.safetensors", "model/model.safetensors"
# Of each stage that reads: what is damaged at once, and named at once. A shard is looked at after all else.
DAMAGE: dict[str, list[dict[str, tuple[str, Harm]]]] = {
    "preprocess": [
        {
            "the manifest is cut off": ("manifest/manifest.parquet", cut),
            "the tokenizer is cut off": ("base/tokenizer.json", cut),
        },
        {"a bit of the manifest flips": ("manifest/manifest.parquet", flip)},
    ],
    "train": [
        {"a shard is cut off": (SHARD, cut)},
        {"a bit of a shard flips": (SHARD, flip)},
        {
            "a bit of the index flips": ("features/index.json", flip),
            "a bit of the selection flips": ("selection/train.parquet", flip),
        },
    ],
    "baseline": [{"a bit of the base checkpoint flips": (BASE, flip)}],
    "evaluate": [
        {
            "a bit of the fine-tuned checkpoint flips": (MODEL, flip),
            "the predictions of the base checkpoint are cut off": ("baseline/predictions.parquet", cut),
            "the run's file is cut off": ("run.json", cut),
        }
    ],
}


@pytest.mark.slow
@pytest.mark.parametrize("reader", DAMAGE)
def test_a_damaged_file_is_named_by_the_stage_that_reads_it_and_made_again(
    flow: Flow, expected: dict[str, Any], reader: str
) -> None:
    """DVC sees no change; mend takes the file away."""
    flow.forget(reader)
    lines = {}
    for harms in DAMAGE[reader]:
        sound = {name: (flow.data / name).read_bytes() for name, _ in harms.values()}
        for name, harm in harms.values():
            harm(flow.data / name)
        done = flow.run_stage(reader)
        assert done.status == 1, done.said
        assert "Traceback" not in done.said, done.said
        for what, (name, _) in harms.items():
            (lines[what],) = [line for line in done.errors if line.startswith(f"error: data/{name} is damaged: ")]
        assert len(done.errors) == len(harms), done.said
        for name, content in sound.items():
            rewrite(flow.data / name, content)

    of_training = ("model/", "run.json")  # mended in a test of its own
    harms_of = [harm for harms in DAMAGE[reader] for harm in harms.values()]
    damaged = {name: harm for name, harm in harms_of if not name.startswith(of_training)}
    for name, harm in damaged.items():
        harm(flow.data / name)
    mended = flow.run("asr.damage")
    assert mended.status == 0
    assert all(f"data/{name} was damaged, and is removed" in mended.said for name in damaged), mended.said
    lost_s = flow.lost_s(heals(flow, expected, *ALONE.get(reader, ())), "listing", reader)
    for what, line in lines.items():
        keeps = "all else; `make mend`, and `make repro` makes it again"
        mended_line = "was read in silence or ended in a traceback; stages compare what they read with dvc.lock"
        note(Seen("storage", what, line, keeps, lost_s, mended_line))


def cached_weights(flow: Flow) -> Path:
    """DVC's copy of the fine-tuned weights."""
    weights = flow.data / "model/model.safetensors"
    (copy,) = [path for path in (flow.folder / ".dvc/cache/files").rglob("*") if path.samefile(weights)]
    return copy


@pytest.mark.slow
def test_a_dvc_cache_that_lost_an_object_costs_the_stage_alone(flow: Flow, expected: dict[str, Any]) -> None:
    cached_weights(flow).unlink()
    remove(flow.data / "model")
    lost_s = flow.lost_s(heals(flow, expected, "train"), "listing")
    note(Seen("storage", "DVC's cache has lost an object, and its output is gone", "", "all other stages", lost_s))


@pytest.mark.slow
def test_a_damaged_object_of_the_dvc_cache_is_found_by_mend(flow: Flow, expected: dict[str, Any]) -> None:
    """DVC links it to its place again, and takes it for what it was."""
    flip(cached_weights(flow))
    remove(flow.data / "model")
    assert flow.repro("train").status == 0
    assert flow.outcome() != expected
    mended = flow.run("asr.damage")
    line, *_ = mended.said.splitlines()
    assert line == "data/model/model.safetensors was damaged, and is removed"
    lost_s = flow.lost_s(heals(flow, expected, "train"), "listing")
    what = "a bit of an object of DVC's cache flips, and its output is gone"
    note(Seen("storage", what, line, "all else", lost_s, "DVC links it again in silence: `make mend` is new"))


@pytest.mark.slow
def test_a_checkpoint_of_a_broken_off_training_that_is_damaged_is_not_gone_on_from(
    flow: Flow, expected: dict[str, Any]
) -> None:
    flow.forget("train")
    running = flow.start_stage("train", **EACH_STEP)
    while not list(flow.data.glob("training/*/checkpoint-4/complete.json")):
        assert running.process.poll() is None, running.process.communicate()
    running.process.kill()
    running.process.communicate()
    (attempt,) = [Attempt(path) for path in flow.data.glob("training/*")]
    assert attempt.checkpoint
    flip(attempt.checkpoint / "model.safetensors")
    again = flow.repro("train")
    assert again.status == 0, again.said
    assert flow.outcome() == expected
    line = next(line for line in again.said.splitlines() if "damaged" in line)
    what = "a bit of a training's checkpoint flips before it goes on"
    keeps, mended = "all stages before; the training starts anew", "was gone on from in silence"
    note(Seen("storage", what, line, keeps, again.wall_s, mended))


@pytest.mark.slow
def test_a_lost_lock_file_costs_nothing_but_the_run(flow: Flow, expected: dict[str, Any]) -> None:
    (flow.folder / "dvc.lock").unlink()
    heals_s = heals(flow, expected)
    note(Seen("storage", "dvc.lock is lost", "", "all, in DVC's run cache", heals_s))


@pytest.mark.slow
def test_a_lock_file_that_is_cut_off_is_set_aside(flow: Flow, expected: dict[str, Any]) -> None:
    """DVC writes it from its beginning, so that a process that is ended just then leaves a part of it."""
    content = (flow.folder / "dvc.lock").read_text()
    (flow.folder / "dvc.lock").write_text(content[: content.index("\n  train:") + len("\n  train:\n")])
    done = flow.repro()
    assert done.status != 0 and "Traceback" not in done.said, done.said
    mended = flow.run("asr.damage")
    assert mended.status == 0
    assert mended.said.startswith("dvc.lock was broken, and is now .dvc/tmp/dvc.lock.broken"), mended.said
    assert (flow.folder / ".dvc/tmp/dvc.lock.broken").exists()
    heals(flow, expected)
    keeps = "all, in DVC's run cache; `make repro` and `make mend` set it aside"
    what = "DVC is killed as it writes dvc.lock, which is cut off"
    note(Seen("storage", what, done.said.splitlines()[0], keeps, done.wall_s, "every later `make repro` said this"))


@pytest.mark.slow
def test_a_lock_file_with_marks_of_a_merge_is_a_line(flow: Flow) -> None:
    lock = flow.folder / "dvc.lock"
    lock.write_text("<<<<<<< HEAD\n" + lock.read_text())
    done = flow.repro()
    assert done.status != 0
    assert "dvc.lock" in done.said and "Traceback" not in done.said
    note(Seen("storage", "dvc.lock has marks of a merge", done.said.splitlines()[0], "all", done.wall_s))


@pytest.mark.slow
def test_few_open_files_are_enough(flow: Flow, expected: dict[str, Any]) -> None:
    limit = partial(resource.setrlimit, resource.RLIMIT_NOFILE, (N_HANDLES, N_HANDLES))
    for stage in ("preprocess", "train"):
        done = flow.run_stage(stage, limit)
        assert done.status == 0, done.said
    assert flow.outcome() == expected
    note(Seen("storage", f"a process may open {N_HANDLES} files, no more", "", "all"))


@pytest.mark.slow
def test_a_full_temporary_folder_is_a_line_or_none(flow: Flow, disk: Flow, expected: dict[str, Any]) -> None:
    seen = {}
    with disks.filled(disk.folder.parent):
        for stage in USERS_OF_TMP:
            flow.forget(stage)
            seen[stage] = done = flow.run_stage(stage, TMPDIR=str(disk.folder.parent))
            assert "Traceback" not in done.said, done.said
            assert done.status == 0 or (done.status == 1 and len(done.errors) == 1), done.said
    lost_s = flow.lost_s(heals(flow, expected, "train"), "listing", *USERS_OF_TMP)
    lines = [done.line for done in seen.values() if done.errors]
    note(
        Seen("storage", "the temporary folder is full", lines[0] if lines else "", "the other stages' outputs", lost_s)
    )


@pytest.mark.slow
def test_a_project_that_is_moved_runs_nothing_anew(flow: Flow, expected: dict[str, Any]) -> None:
    moved = Flow(flow.folder.rename(flow.folder.with_name("moved")))
    done = moved.repro()
    assert done.status == 0, done.said
    assert re.findall(r"^Running stage '(\w+)'", done.said, re.MULTILINE) == ["listing"]
    assert moved.outcome() == expected
    note(Seen("storage", "the project's folder is moved", "", "all"))
