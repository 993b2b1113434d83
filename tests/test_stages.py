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


def test_a_disk_that_refuses_to_write_is_named_with_what_can_be_done(tmp_path):
    ended = run(
        tmp_path, "raise OSError(28, 'Error writing bytes to file. Detail: [errno 28] No space left on device')"
    )
    said = f"error: a file below {tmp_path}: No space left on device; make room there, and run it again\n"
    assert (ended.returncode, ended.stderr) == (1, said)
    ended = run(tmp_path, "raise OSError(30, \"Failed to open local file 'data/a'. Detail: [errno 30]\")")
    said = "error: data/a: Read-only file system; mount it so that it can be written, and run it again\n"
    assert (ended.returncode, ended.stderr) == (1, said)


def test_ctrl_c_while_modules_are_imported_is_silent(tmp_path):
    (tmp_path / "slow.py").write_text("import stages, os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    ended = subprocess.run(
        [sys.executable, "slow.py"], cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert (ended.returncode, ended.stderr) == (130, "")
