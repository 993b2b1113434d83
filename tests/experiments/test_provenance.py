import subprocess
from pathlib import Path

from asr.experiments.provenance import dvc_digest, git_commit

LOCK = """
schema: '2.0'
stages:
  prepare:
    cmd: python
    outs:
    - path: data/manifest
      md5: 11.dir
  preprocess:
    cmd: python
    outs:
    - path: data/features
      md5: 22.dir
  baseline:
    cmd: python
    deps:
    - path: data/features/test
      md5: 33.dir
"""


def git(*arguments):
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_the_digest_is_that_of_the_lock(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert dvc_digest(Path("data/features")) is None
    Path("dvc.lock").write_text(LOCK)
    assert dvc_digest(Path("data/features")) == "22.dir"
    assert dvc_digest(Path("data/features/test")) == "33.dir"
    assert dvc_digest(Path("data/model")) is None


def test_the_commit_says_whether_tracked_files_differ_from_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert git_commit() is None
    git("init", "-q")
    Path("a").write_text("1")
    git("add", "a")
    git("commit", "-qm", "a")
    assert git_commit() == git("rev-parse", "HEAD")
    Path("a").write_text("2")
    assert git_commit() == git("rev-parse", "HEAD") + "-dirty"
