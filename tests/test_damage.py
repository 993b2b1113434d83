"""asr/damage.py: what DVC has noted is compared with what lies there, and what differs is named or taken away."""

import hashlib
import json
import os
from pathlib import Path

import pytest
import yaml

from asr import damage
from asr.errors import UserError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run.json of `train`, and features of a shard and an index of `preprocess`, as DVC links and notes them."""
    monkeypatch.chdir(tmp_path)
    features = {"index.json": b"{}", "train/00000.parquet": b"PAR1 rows PAR1"}
    listed = [
        {"md5": cached(Path("data/features", name), content), "relpath": name} for name, content in features.items()
    ]
    of_folder = cached(Path("data/listed"), json.dumps(listed).encode(), ".dir")
    outs = {
        "preprocess": {"path": "data/features", "md5": of_folder},
        "train": {"path": "data/run.json", "md5": cached(Path("data/run.json"), b'{"run": 1}')},
    }
    stages = {stage: {"cmd": "...", "outs": [out]} for stage, out in outs.items()}
    Path("dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}))
    return tmp_path


def cached(path: Path, content: bytes, suffix: str = "") -> str:
    md5 = hashlib.md5(content).hexdigest() + suffix
    for made in (path, kept := damage.CACHE / md5[:2] / md5[2:]):
        made.parent.mkdir(parents=True, exist_ok=True)
    kept.write_bytes(content)
    os.link(kept, path)
    return md5


INPUTS = [Path("data/features"), Path("data/run.json"), Path("data/report")]


@pytest.mark.usefixtures("folder")
def test_what_is_as_it_was_made_is_not_damaged() -> None:
    damage.check_inputs("evaluate", INPUTS, with_shards=True)
    assert damage.mend() == []


@pytest.mark.usefixtures("folder")
def test_a_file_of_the_same_size_and_time_is_named_with_its_stage_and_the_remedy() -> None:
    Path("data/features/index.json").write_text("[]")
    with pytest.raises(
        UserError, match=r"^data/features/index.json is damaged: no longer what `preprocess` has made; `make mend`"
    ):
        damage.check_inputs("evaluate", INPUTS)
    damage.check_inputs("evaluate", INPUTS[1:])
    damage.check_inputs("preprocess", INPUTS)  # its own output, which it makes anew


@pytest.mark.usefixtures("folder")
def test_shards_are_looked_at_when_something_broke() -> None:
    Path("data/features/train/00000.parquet").write_text("PAR1 r0ws PAR1")
    damage.check_inputs("evaluate", INPUTS)
    with pytest.raises(UserError, match=r"train/00000.parquet is damaged"):
        damage.check_inputs("evaluate", INPUTS, with_shards=True)


@pytest.mark.usefixtures("folder")
def test_mending_takes_the_file_and_its_copy_in_the_cache_away_and_nothing_else() -> None:
    path = Path("data/features/train/00000.parquet")
    (copy,) = [kept for kept in damage.CACHE.glob("*/*") if kept.samefile(path)]
    path.write_text("PAR1 r0ws PAR1")
    before = {file for file in Path().rglob("*") if file.is_file()}
    assert damage.mend() == [path]
    assert before - {file for file in Path().rglob("*") if file.is_file()} == {path, copy}


@pytest.mark.usefixtures("folder")
def test_what_is_gone_or_unlisted_or_never_ran_is_left_to_dvc() -> None:
    Path("data/run.json").unlink()
    for listed in damage.CACHE.glob("*/*.dir"):
        listed.unlink()
    damage.check_inputs("evaluate", INPUTS, with_shards=True)
    Path("dvc.lock").unlink()
    assert damage.made() == []
