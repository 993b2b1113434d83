"""benchmarks/prepare.py on a few rows."""

import json
import subprocess
import sys
from pathlib import Path

BENCHMARK = Path(__file__).parents[2] / "benchmarks/prepare.py"


def test_the_stages_run_on_a_table_whose_files_are_no_recordings(tmp_path: Path) -> None:
    command = [sys.executable, BENCHMARK, "--rows", "300", "--results", tmp_path]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said.count("PASS") == 4
    measured = json.loads((tmp_path / "prepare.json").read_text())["measured"]
    assert measured["rows"] == 300 and measured["prepare"]["wall_s"] > 0
