import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def run(folder, body):
    """A stage whose main has this body, as DVC runs it."""
    (folder / "something.py").write_text(
        "from asr.errors import UserError\nfrom stages import stage\n"
        f"def main(out):\n    {body}\nif __name__ == '__main__':\n    stage(main)\n"
    )
    return subprocess.run(
        [sys.executable, "something.py", "out.txt"],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
    )


def test_a_stage_gets_its_paths_and_leaves_what_it_took(tmp_path):
    assert run(tmp_path, "out.write_text('done')").returncode == 0
    assert (tmp_path / "out.txt").read_text() == "done"
    costs = json.loads((tmp_path / "data/costs.jsonl").read_text())
    assert costs["stage"] == "something"
    assert costs["peak_mb"] > 1


def test_what_a_user_can_mend_is_one_line_each_and_no_traceback(tmp_path):
    ended = run(tmp_path, "raise UserError('a: wrong\\nb: wrong')")
    assert (ended.returncode, ended.stderr) == (1, "error: a: wrong\nerror: b: wrong\n")
    assert not (tmp_path / "data").exists()


def test_a_file_that_cannot_be_used_is_named(tmp_path):
    ended = run(tmp_path, "open('absent/file')")
    assert (ended.returncode, ended.stderr) == (1, "error: absent/file: No such file or directory\n")


def test_a_mistake_of_ours_keeps_its_traceback(tmp_path):
    ended = run(tmp_path, "1 / 0")
    assert ended.returncode == 1
    assert "Traceback" in ended.stderr
