"""params.yaml as no one should write it: it loads, or is refused in lines that name it; never another end."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from asr import params
from asr.errors import UserError
from tests.faults.table import Seen, note

ROOT = Path(__file__).parents[2]
OWN = (ROOT / "params.yaml").read_bytes()
MOST_LINES, MOST_CHARACTERS = 21, 20_000
MOST_S = 20.0  # for the largest file that is read at all, on a busy machine
MOST_BYTES = 4 * 2**30  # of addresses, most of them of the libraries
NO_TRACE = "the last run's outputs: no stage has begun"


def bomb() -> str:
    """Aliases of aliases: nine levels, a billion strings."""
    names = "abcdefghij"
    first = "a: &a [x, x, x, x, x, x, x, x, x]\n"
    return first + "".join(f"{n}: &{n} [{', '.join([f'*{b}'] * 9)}]\n" for b, n in pairwise(names))


NOT_REFUSED = "ended in a traceback"
FLOOD = "all of it was printed"
FAULTS: dict[str, tuple[bytes, str, str]] = {  # the file, what the line says, what was found and mended
    "params.yaml is empty": (b"", "must be a mapping of sections, not None", ""),
    "params.yaml with the marks of a merge conflict": (
        b"train:\n<<<<<<< HEAD\n  seed: 1\n=======\n  seed: 2\n>>>>>>> other\n",
        "is not YAML",
        "",
    ),
    "params.yaml that is indented with tabs": (b"data:\n\tsource: table\n", "cannot start any token", ""),
    "a section of params.yaml twice": (b"train: {seed: 1}\ntrain: {seed: 2}\n", "duplicate key", ""),
    "params.yaml in UTF-16": ("train: {seed: 1}\n".encode("utf-16"), "save it as UTF-8", ""),
    "a NUL in params.yaml": (b"data: {language: \x00}\n", "special characters are not allowed", ""),
    "a param that is not a number (.nan)": (b"train: {learning_rate: .nan}\n", "learning_rate: nan", ""),
    "a param of 5,000 digits": (b"train: {max_steps: " + b"9" * 5000 + b"}\n", "is not YAML", NOT_REFUSED),
    "a seed that NumPy does not take": (
        b"train: {seed: 99999999999999999999}\n",
        "seed: 99999999999999999999: input should be less than 4294967296",
        "it was accepted",
    ),
    "a date in params.yaml that is none": (b"train: {seed: 2020-13-45}\n", "month must be in 1..12", NOT_REFUSED),
    "a tag in params.yaml that the value is not": (b"train: {seed: !!bool abc}\n", "is not YAML: 'abc'", NOT_REFUSED),
    "a tag in params.yaml that would run code": (
        b"data: !!python/object/apply:os.system ['touch run']\n",
        "could not determine a constructor for the tag",
        "",
    ),
    "params.yaml nested 2,000 deep": (b"data: " + b"[" * 2_000, "nested too deeply", NOT_REFUSED),
    "a billion laughs in params.yaml": (
        (bomb() + "data: {source: *j, languages: *j}\n").encode(),
        "data.source: [[[...], [...]",
        "not refused after 20 s: each value was printed whole",
    ),
    "9,999 unknown keys in params.yaml": (
        b"data:\n" + b"".join(b"  k%d:\n" % n for n in range(9_999)),
        "data.k0: unknown",
        FLOOD,
    ),
    "a value of 100,000 characters in params.yaml": (
        b"data: {language: " + b"x" * 100_000 + b"}\n",
        "data.language: 'xxx",
        FLOOD,
    ),
    "params.yaml of a gigabyte": (b"", "has 1,073,741,824 bytes; params are at most", "it was read whole"),
}


def refusal(folder: Path, make: Callable[[Path], Any]) -> str:
    """What a stage says of such a params.yaml, in a process with a bound on memory and time."""
    make(folder / "params.yaml")
    done = subprocess.run(
        [sys.executable, "-c", READ],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1, done
    lines = done.stderr.splitlines()
    assert all(line.startswith("error: ") for line in lines), done.stderr[:1000]
    assert 1 <= len(lines) <= MOST_LINES and len(done.stderr) <= MOST_CHARACTERS
    assert [path.name for path in folder.iterdir()] == ["params.yaml"]
    return lines[0]


# As stages begin, without the seconds that their other imports take.
READ = f"""
import resource
resource.setrlimit(resource.RLIMIT_AS, ({MOST_BYTES}, {MOST_BYTES}))
from asr import params
from asr.errors import ending_in_a_line
with ending_in_a_line():
    params.load()
"""


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_it_is_refused_in_a_line(fault: str, tmp_path: Path) -> None:
    content, said, mended = FAULTS[fault]

    def make(path: Path) -> None:
        path.write_bytes(content)
        if fault.endswith("gigabyte"):
            os.truncate(path, 2**30)

    line = refusal(tmp_path, make)
    assert said in line
    note(Seen("input", fault, sees=line[:200], keeps=NO_TRACE, mended=mended))


@pytest.mark.slow
def test_a_pipe_in_its_place_does_not_hang(tmp_path: Path) -> None:
    line = refusal(tmp_path, os.mkfifo)
    assert "is not a file" in line
    note(Seen("input", "params.yaml is a named pipe", sees=line, keeps=NO_TRACE, mended="it hung"))


def loads_or_is_refused(path: Path) -> None:
    started_s = time.monotonic()
    said = ""
    try:
        params.load(path)
    except UserError as error:
        said = str(error) or "\n"
    assert all(said.splitlines()) and len(said.splitlines()) <= MOST_LINES
    assert len(said) <= MOST_CHARACTERS
    assert time.monotonic() - started_s < MOST_S


FEW = settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
SECTIONS = list(params.Params.model_fields)
NAMES = [name for section in SECTIONS for name in type(getattr(params.Params(), section)).model_fields]
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**400), 10**400)
    | st.floats()
    | st.text(max_size=20)
    | st.dates()
    | st.binary(max_size=5)
)
TREES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=5) | st.integers(), inner, max_size=4)
    ),
    max_leaves=12,
)


@pytest.mark.slow
@FEW
@given(content=st.dictionaries(st.sampled_from(SECTIONS), st.dictionaries(st.sampled_from(NAMES), TREES, max_size=4)))
def test_values_of_any_type_load_or_are_refused(content: dict[str, Any], tmp_path: Path) -> None:
    with (tmp_path / "params.yaml").open("w", encoding="utf-8", errors="surrogatepass") as file:
        YAML(typ="safe", pure=True).dump(content, file)
    loads_or_is_refused(tmp_path / "params.yaml")


@FEW
@given(content=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_load_or_are_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_bytes(content)
    loads_or_is_refused(tmp_path / "params.yaml")


LINES = OWN.splitlines(keepends=True)
TOKENS = st.sampled_from(
    [b"{", b"}", b"[", b"- ", b": ", b"&a ", b"*a", b"!!int ", b"|", b"'", b'"', b"\t", b"<<: ", b"%"]
)


@settings(FEW, max_examples=40)
@given(
    first=st.integers(0, len(LINES)),
    edits=st.lists(st.tuples(st.floats(0, 1), TOKENS | st.binary(max_size=3), st.integers(0, 9)), max_size=5),
)
def test_the_own_file_with_edits_loads_or_is_refused(
    first: int, edits: list[tuple[float, bytes, int]], tmp_path: Path
) -> None:
    content = b"".join(LINES[first : first + 40])
    for place, put, n_cut in edits:
        at = int(place * len(content))
        content = content[:at] + put + content[at + n_cut :]
    (tmp_path / "params.yaml").write_bytes(content)
    loads_or_is_refused(tmp_path / "params.yaml")
