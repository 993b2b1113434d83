"""Preprocess that is killed, told to stop or out of disk leaves nothing half, and goes on where it was."""

import os
import resource
import shutil
import signal
import subprocess
from functools import partial

import pytest

from tests.running import Project, corpus, identity

N_BEFORE = 4  # shards that are finished when it is killed
SMALL_MB = 1  # a third of the shards
FILE_BYTES = 100_000  # half a shard


@pytest.fixture(scope="module")
def clips(tmp_path_factory, real_clips):
    """(folder, rows)"""
    folder = tmp_path_factory.mktemp("kill") / "clips"
    return folder, corpus(folder, real_clips)


@pytest.fixture(scope="module")
def expected(tmp_path_factory, scratch, clips):
    """The shards of a run that nobody disturbs."""
    hashes = Project.make(tmp_path_factory.mktemp("kill") / "project", scratch, *clips).run(BEAM_WORKERS="1")
    assert len(hashes) > 2 * N_BEFORE
    return hashes


@pytest.fixture
def project(tmp_path, scratch, clips):
    return Project.make(tmp_path / "project", scratch, *clips)


def goes_on(project, expected, **environment):
    """A second run gives what was to be expected and keeps each shard that was there."""
    before = project.finished()
    assert before
    assert project.run(**environment) == expected
    assert {name: identity(project.features / name) for name in before} == before
    assert not list(project.features.rglob("*.part"))
    assert not project.work.exists()


@pytest.mark.parametrize(
    ("name", "n_workers"),
    [
        ("SIGKILL", "2"),
        ("SIGINT", "1"),
        *(
            pytest.param(name, n_workers, marks=pytest.mark.slow)
            for name, n_workers in (("SIGKILL", "1"), ("SIGTERM", "1"), ("SIGTERM", "2"), ("SIGINT", "2"))
        ),
    ],
)
def test_a_run_that_is_killed_leaves_no_process_and_goes_on_where_it_was(project, expected, name, n_workers):
    running = project.start(BEAM_WORKERS=n_workers)
    running.wait_for_shards(project, N_BEFORE)
    # A terminal interrupts all processes of a run at once; the others come from a scheduler, to one.
    send = os.killpg if name == "SIGINT" else os.kill
    send(running.process.pid, signal.Signals[name])
    status, said = running.end()
    if name == "SIGINT":
        assert status == 128 + signal.SIGINT
        assert said.startswith("error: ") and said.count("\n") == 1, said
    else:
        assert status == -signal.Signals[name] and not said
    assert running.left_behind() == []
    assert not (project.features / "index.json").exists()
    assert N_BEFORE <= len(project.finished()) < len(expected)
    goes_on(project, expected, BEAM_WORKERS="1")


def assert_one_line(running, reason):
    status, said = running.end()
    lines = said.strip().splitlines()
    assert status == 1
    assert len(lines) == 1 and lines[0].startswith("error: ") and reason in lines[0], said


def assert_nothing_half(project):
    """Each shard that lies there is finished, and nothing claims to be the features."""
    assert not (project.features / "index.json").exists()
    assert not list(project.work.rglob("*.part"))
    lying = {f"{path.parent.name}/{path.name}" for path in project.work.glob("*/*/*.parquet")}
    assert lying == {*project.finished()}


@pytest.fixture
def small_disk(project, tmp_path):
    """A function that makes the disk of the project's data so many megabytes large."""
    data, moved = project.folder / "data", tmp_path / "data"
    data.rename(moved)
    data.mkdir()

    def resize(options):
        return subprocess.run(["mount", "-o", options, "-t", "tmpfs", "none", data], capture_output=True, text=True)

    mounted = resize(f"size={SMALL_MB}m")
    if mounted.returncode:
        pytest.skip(f"NO FULL DISK CAN BE MADE, so it stays untested: {mounted.stderr.strip()}")
    shutil.copytree(moved, data, dirs_exist_ok=True)
    yield lambda size_mb: resize(f"remount,size={size_mb}m")
    subprocess.run(["umount", "--lazy", data], check=True)


@pytest.mark.parametrize("n_workers", ["1", pytest.param("2", marks=pytest.mark.slow)])
def test_a_full_disk_is_one_line_and_with_room_it_goes_on(project, expected, small_disk, n_workers):
    assert_one_line(project.start(BEAM_WORKERS=n_workers), "No space left on device")
    assert_nothing_half(project)
    small_disk(100)
    goes_on(project, expected, BEAM_WORKERS="1")


def test_a_file_that_may_not_grow_is_one_line(project):
    limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (FILE_BYTES, FILE_BYTES))
    assert_one_line(project.start(limit, BEAM_WORKERS="1"), "File too large")
    assert_nothing_half(project)
