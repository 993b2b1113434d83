"""asr/lock.py: what DVC noted is read; a file that was cut off is known as such, wherever it was cut, and set aside."""

from pathlib import Path

import pytest
import yaml

from asr import lock
from asr.errors import UserError

ENTRY = {"path": "data/run.json", "hash": "md5", "md5": "5f", "size": 7}
STAGES = {
    name: {"cmd": f"python -m stages.{name}", "deps": [{**ENTRY}], "outs": [{**ENTRY}]}
    for name in ("train", "evaluate")
}
WHOLE = yaml.safe_dump({"schema": "2.0", "stages": STAGES}, sort_keys=False)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_stages_are_those_that_have_run() -> None:
    assert lock.stages() == {}
    lock.LOCK.write_text(WHOLE)
    assert lock.stages() == STAGES
    assert not lock.set_aside() and lock.LOCK.exists()


@pytest.mark.parametrize("end", ["", "sche", "\n  evaluate:\n", "    deps:\n    -", "    - pa", "\n    cmd"])
def test_a_file_that_is_cut_off_is_set_aside(end: str, capsys: pytest.CaptureFixture[str]) -> None:
    cut = WHOLE[: WHOLE.rindex(end) + len(end)] if end else ""
    lock.LOCK.write_text(cut)
    with pytest.raises(UserError, match="is broken"):
        lock.stages()
    lock.main()
    assert capsys.readouterr().out.startswith("dvc.lock was broken, and is now .dvc/tmp/dvc.lock.broken")
    assert lock.ASIDE.read_text() == cut
    assert lock.stages() == {}


def test_marks_of_a_merge_are_left_to_who_merges() -> None:
    lock.LOCK.write_text("<<<<<<< HEAD\n" + WHOLE)
    assert not lock.set_aside()
    assert lock.LOCK.exists()
    with pytest.raises(UserError, match="has marks of a merge"):
        lock.stages()
