"""Who may import whom, and that dvc.yaml's deps are the modules that compute a stage's outputs."""

import ast
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parent.parent
PACKAGES = ("asr", "pipelines", "stages")
MODULES = {
    str(path.relative_to(ROOT)): path
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
    if path.stat().st_size
}
# These change what is seen, where it runs or what is refused, never what comes out. Params are compared by value.
APART = {f"asr/{name}.py" for name in ("damage", "errors", "environment", "lock", "progress", "secrets", "tracking")}
APART |= {f"asr/train/{name}.py" for name in ("advice", "fitting", "launch")}
APART |= {name for name in MODULES if name.startswith(("asr/params/", "asr/experiments/"))}
PLACES = ("dataflow", "dataflow_check", "local", "options", "pools", "progress", "running", "watchdog", "worker")
APART |= {f"pipelines/{name}.py" for name in PLACES}
APART |= {name for name in MODULES if name.endswith("__init__.py")}
HEAVY = ("torch", "transformers", "mlflow", "jiwer", "matplotlib", "accelerate", "dvc")
STAGES = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]


@cache
def imports(name: str) -> tuple[frozenset[str], frozenset[str]]:
    """What a file imports anywhere in it: files of the project, and top-level packages of others."""
    ours, others = set(), set()
    for node in ast.walk(ast.parse(MODULES[name].read_text())):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: imports are absolute here"
            targets = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for target in targets:
            path = target.replace(".", "/")
            found = [file for file in (f"{path}.py", f"{path}/__init__.py") if file in MODULES]
            ours.update(found)
            if target.split(".")[0] not in PACKAGES:
                others.add(target.split(".")[0])
    return frozenset(ours), frozenset(others)


def closure(name: str) -> set[str]:
    """A file and all of the project that it imports, directly or not; a source is imported by its name."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += imports(name)[0]
            if name == "asr/sources/__init__.py":
                waiting += [other for other in MODULES if other.startswith("asr/sources/")]
    return found


def test_there_is_no_circle():
    TopologicalSorter({name: imports(name)[0] - {name} for name in MODULES}).prepare()


def test_imports_run_one_way():
    for name in MODULES:
        layer = PACKAGES.index(name.split("/")[0])
        for other in imports(name)[0]:
            assert PACKAGES.index(other.split("/")[0]) <= layer, f"{name} imports {other}"


def test_two_modules_import_mlflow():
    importing = [name for name in MODULES if "mlflow" in imports(name)[1]]
    assert importing == ["asr/experiments/packaging.py", "asr/experiments/store.py"]


def test_a_beam_worker_needs_neither_torch_nor_mlflow():
    code = "import sys, pipelines.shard_job; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert not set(HEAVY) & set(loaded.split())


@pytest.mark.parametrize("stage", [name for name in STAGES if not STAGES[name].get("always_changed")])
def test_deps_are_the_modules_that_compute_the_outputs(stage):
    deps = [dep for dep in STAGES[stage].get("deps", []) if not dep.startswith("data/")]
    assert all((ROOT / dep).exists() for dep in deps)
    files = {str(path.relative_to(ROOT)) for dep in deps for path in sorted((ROOT / dep).rglob("*.py"))}
    declared = files | {dep for dep in deps if dep.endswith(".py")}
    assert declared - APART == closure(f"stages/{stage}.py") - APART


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_is_handed_each_of_its_paths(stage):
    words = STAGES[stage]["cmd"].split()
    assert words[:3] == ["python", "-m", f"stages.{stage}"]
    for out in STAGES[stage]["outs"]:
        assert out in words
    for dep in STAGES[stage].get("deps", []):
        if dep.startswith("data/") and dep != "data/corpus":  # the manifest refers to what lies there
            assert any(dep == word or dep.startswith(word + "/") for word in words), dep
