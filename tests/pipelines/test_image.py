"""The worker image, as far as it can be checked without Docker: its versions, and what it is made of."""

import re
import tomllib
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCK = dict(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE))


def test_beam_in_the_image_is_the_locked_one_on_the_python_of_the_project():
    (base,) = re.findall(r"^FROM apache/beam_python(\S+)_sdk:(\S+)", DOCKERFILE, re.MULTILINE)
    (python,) = re.findall(r"^FROM python:(\d+\.\d+)", DOCKERFILE, re.MULTILINE)
    assert base == (python, LOCK["apache-beam"])
    assert PROJECT["project"]["requires-python"].startswith(f">={python},")


def test_the_image_installs_what_workers_need_by_the_lock_and_nothing_to_train_with():
    (lock, extras) = re.search(r'pip install .*--constraint (\S+) "\.\[(.*)\$\{MORE\}\]"', DOCKERFILE).groups()
    assert (ROOT / lock).exists()
    optional = PROJECT["project"]["optional-dependencies"]
    chosen = [name for extra in extras.split(",") for name in optional[extra]]
    assert any(name.startswith("apache-beam[gcp]") for name in chosen)
    assert any(name.startswith("av>") for name in chosen)
    assert not [name for name in chosen if re.match("torch|transformers|mlflow|dvc", name)]


def test_the_image_is_made_of_every_package_and_of_no_data():
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert lines[1] == "*"  # all is out but what follows
    taken = {line[1:] for line in lines if line.startswith("!")}
    assert all((ROOT / name).exists() for name in taken)
    packages = {name.rstrip("*") for name in PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]}
    assert taken >= packages | {"pyproject.toml", "requirements.lock", PROJECT["project"]["readme"]}
    assert not [name for name in taken if any(fnmatch(name, pattern) for pattern in ("data*", ".*", "tests", "*.db"))]
