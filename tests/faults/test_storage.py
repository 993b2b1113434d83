"""Disks that are full or read-only, files that may not grow, are cut off, have a flipped bit, or are gone."""

import os
import re
import resource
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.faults.flow import STAGES, Flow, remove
from tests.faults.table import Seen, note

DISK = "size=400m"
FILE_BYTES = 30_000  # less than most outputs
N_HANDLES = 24  # fewer than the shared libraries and the shards take
EACH_STEP = {"CHECKPOINT_EVERY_S": "0"}


@pytest.fixture
def disk(undisturbed: Flow, tmp_path: Path) -> Iterator[Flow]:
    """A copy of the undisturbed flow on a file system of its own, in memory."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-o", DISK, "-t", "tmpfs", "none", folder], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"NO FULL DISK CAN BE MADE, so it stays untested: {mounted.stderr.strip()}")
    yield undisturbed.copied(folder / "project")
    subprocess.run(["umount", "--lazy", folder], check=True)


def fill(flow: Flow) -> Path:
    """A file that takes all the room there is."""
    ballast = flow.folder.parent / "ballast"
    with ballast.open("wb") as file:
        room = os.statvfs(ballast)
        os.posix_fallocate(file.fileno(), 0, room.f_bavail * room.f_frsize)
    return ballast


def heals(flow: Flow, expected: dict[str, Any]) -> float:
    """The next `dvc repro` ends as one that nothing disturbed; the seconds that it took."""
    again = flow.repro()
    assert again.status == 0, again.said
    assert flow.outcome() == expected
    return again.wall_s


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_a_full_disk_is_a_line_and_with_room_it_goes_on(disk: Flow, expected: dict[str, Any], stage: str) -> None:
    disk.forget(stage)
    ballast = fill(disk)
    done = disk.run_stage(stage, **EACH_STEP)
    assert done.status == 1, done.said
    assert "No space left on device" in done.line
    assert len(done.errors) == 1 and "Traceback" not in done.said, done.said
    ballast.unlink()
    heals(disk, expected)
    note(Seen("storage", f"{stage}: the disk is full", done.line, "the other stages' outputs", done.wall_s))


@pytest.mark.slow
def test_a_disk_that_fills_as_dvc_keeps_an_output(disk: Flow, expected: dict[str, Any]) -> None:
    """The stage has ended well, and its output does not fit into the cache."""
    disk.forget("train")
    remove(disk.folder / ".dvc/cache/files")
    ballast = fill(disk)
    os.truncate(ballast, ballast.stat().st_size - 6_000_000)
    done = disk.repro("--single-item", "train")
    assert done.status != 0
    assert "No space left on device" in done.said
    ballast.unlink()
    heals(disk, expected)
    note(Seen("storage", "the disk is full as DVC keeps an output in its cache", done.line, "the output", done.wall_s))


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["fetch", "preprocess", "train", "baseline", "export"])
def test_a_file_that_may_not_grow_is_a_line(flow: Flow, expected: dict[str, Any], stage: str) -> None:
    flow.forget(stage)
    limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (FILE_BYTES, FILE_BYTES))
    done = flow.run_stage(stage, limit, **EACH_STEP)
    assert done.status == 1, done.said
    assert "File too large" in done.line
    assert len(done.errors) == 1 and "Traceback" not in done.said, done.said
    heals(flow, expected)
    note(Seen("storage", f"{stage}: a quota on a single file", done.line, "the other stages' outputs", done.wall_s))


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["listing", "prepare", "preprocess", "train", "evaluate"])
def test_a_folder_that_is_read_only_is_a_line(disk: Flow, expected: dict[str, Any], stage: str) -> None:
    disk.forget(stage)
    remount(disk, "ro")
    done = disk.run(*STAGES[stage]["cmd"].split()[2:], **EACH_STEP)
    remount(disk, "rw")
    assert done.status == 1, done.said
    assert "Read-only file system" in done.line
    assert len(done.errors) == 1 and "Traceback" not in done.said, done.said
    heals(disk, expected)
    note(Seen("storage", f"{stage}: the folder is read-only", done.line, "all", done.wall_s))


def remount(flow: Flow, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", flow.folder.parent], check=True)


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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "pattern", "harm", "reader"),
    [
        ("a shard is cut off", "features/train/*.parquet", cut, "train"),
        ("a bit of a shard flips", "features/train/*.parquet", flip, "train"),
        ("a bit of the index flips", "features/index.json", flip, "train"),
        ("the index is cut off", "features/index.json", cut, "train"),
        ("a bit of the manifest flips", "manifest/manifest.parquet", flip, "preprocess"),
        ("the manifest is cut off", "manifest/manifest.parquet", cut, "preprocess"),
        ("a bit of the selection flips", "selection/*.parquet", flip, "train"),
        ("a bit of the base checkpoint flips", "base/model.safetensors", flip, "baseline"),
        ("the base checkpoint is cut off", "base/model.safetensors", cut, "baseline"),
        ("a bit of the fine-tuned checkpoint flips", "model/model.safetensors", flip, "evaluate"),
        ("the fine-tuned checkpoint is cut off", "model/model.safetensors", cut, "evaluate"),
        ("the tokenizer is cut off", "base/tokenizer.json", cut, "preprocess"),
        ("the predictions of the base checkpoint are cut off", "baseline/predictions.parquet", cut, "evaluate"),
        ("the run's file is cut off", "run.json", cut, "evaluate"),
    ],
)
def test_a_damaged_file_is_named_and_made_again(
    flow: Flow, expected: dict[str, Any], what: str, pattern: str, harm: Callable[[Path], None], reader: str
) -> None:
    """By the stage that reads it, as DVC sees no change; mend takes it away."""
    flow.forget(reader)
    path = sorted(flow.data.glob(pattern))[0]
    sound = path.read_bytes()
    harm(path)
    done = flow.run_stage(reader)
    assert done.status == 1, done.said
    name = str(path.relative_to(flow.folder))
    assert done.errors == [line for line in done.errors if line.startswith(f"error: {name} is damaged: ")], done.said
    assert "Traceback" not in done.said, done.said

    mended = flow.run("asr.damage")
    assert mended.status == 0 and f"{name} was damaged, and is removed" in mended.said
    healed_s = heals(flow, expected)
    assert path.read_bytes() == sound
    note(Seen("storage", what, done.line, "all else; `make mend`, and `make repro` makes it again", healed_s))


@pytest.mark.slow
@pytest.mark.parametrize(("what", "harm"), [("gone", Path.unlink), ("damaged", flip)])
def test_a_dvc_cache_that_lost_an_object_costs_the_stage_alone(
    flow: Flow, expected: dict[str, Any], what: str, harm: Callable[[Path], None]
) -> None:
    objects = sorted((flow.folder / ".dvc/cache/files").rglob("*"), key=lambda path: path.stat().st_size)
    weights = (flow.data / "model/model.safetensors").read_bytes()
    (lost,) = [path for path in objects if path.is_file() and path.read_bytes() == weights]
    harm(lost)
    remove(flow.data / "model")
    heals_s = heals(flow, expected)
    note(Seen("storage", f"an object of DVC's cache is {what}, and its output too", "", "all other stages", heals_s))


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
    (checkpoint,) = [path.parent for path in flow.data.glob("training/*/checkpoint-*/complete.json")]
    flip(checkpoint / "model.safetensors")
    again = flow.repro()
    assert again.status == 0, again.said
    assert flow.outcome() == expected
    line = next(line for line in again.said.splitlines() if "damaged" in line)
    what = "a bit of a training's checkpoint flips before it goes on"
    note(Seen("storage", what, line, "all stages before; the training starts anew", again.wall_s))


@pytest.mark.slow
def test_a_lost_lock_file_costs_nothing_but_the_run(flow: Flow, expected: dict[str, Any]) -> None:
    (flow.folder / "dvc.lock").unlink()
    heals_s = heals(flow, expected)
    note(Seen("storage", "dvc.lock is lost", "", "all, in DVC's run cache", heals_s))


def test_a_lock_file_with_marks_of_a_merge_is_a_line(flow: Flow) -> None:
    lock = flow.folder / "dvc.lock"
    lock.write_text("<<<<<<< HEAD\n" + lock.read_text())
    done = flow.repro()
    assert done.status != 0
    assert "dvc.lock" in done.said and "Traceback" not in done.said
    note(Seen("storage", "dvc.lock has marks of a merge", done.line, "all", done.wall_s))


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["preprocess", "train"])
def test_too_few_open_files_are_a_line(flow: Flow, expected: dict[str, Any], stage: str) -> None:
    flow.forget(stage)
    limit = partial(resource.setrlimit, resource.RLIMIT_NOFILE, (N_HANDLES, N_HANDLES))
    done = flow.run_stage(stage, limit)
    assert done.status == 1, done.said
    assert "Too many open files" in done.line
    assert len(done.errors) == 1 and "Traceback" not in done.said, done.said
    heals(flow, expected)
    note(Seen("storage", f"{stage}: {N_HANDLES} open files are allowed", done.line, "the other stages' outputs"))


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["prepare", "preprocess", "train", "export"])
def test_a_full_temporary_folder_is_a_line_or_none(
    flow: Flow, disk: Flow, expected: dict[str, Any], stage: str
) -> None:
    flow.forget(stage)
    fill(disk)
    done = flow.run_stage(stage, TMPDIR=str(disk.folder.parent))
    assert "Traceback" not in done.said, done.said
    assert done.status == 0 or (done.status == 1 and len(done.errors) == 1), done.said
    heals(flow, expected)
    sees = done.line if done.errors else ""
    note(Seen("storage", f"{stage}: the temporary folder is full", sees, "the other stages' outputs", done.wall_s))


@pytest.mark.slow
def test_a_project_that_is_moved_runs_nothing_anew(flow: Flow, expected: dict[str, Any]) -> None:
    moved = Flow(flow.folder.rename(flow.folder.with_name("moved")))
    done = moved.repro()
    assert done.status == 0, done.said
    assert re.findall(r"^Running stage '(\w+)'", done.said, re.MULTILINE) == ["listing"]
    assert moved.outcome() == expected
    note(Seen("storage", "the project's folder is moved", "", "all", 0.0))
