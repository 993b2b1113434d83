"""The undisturbed flow, made once for all test processes, and a copy of it for each test."""

import os
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from tests.faults.flow import Flow, made


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those that need no flow come first, so that a worker has something to do while another one makes it."""
    items.sort(key=lambda item: "undisturbed" in getattr(item, "fixturenames", ()))


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Flow:
    """After one `dvc repro` that nothing disturbed. Not to be changed."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    with FileLock(shared / "undisturbed.lock"):
        if not (shared / "undisturbed.made").exists():
            made(shared / "undisturbed" / "project")
            (shared / "undisturbed.made").touch()
    return Flow(shared / "undisturbed" / "project")


@pytest.fixture
def flow(undisturbed: Flow, tmp_path: Path) -> Flow:
    """A copy of the undisturbed one, to be disturbed."""
    return undisturbed.copied(tmp_path / "project")


@pytest.fixture(scope="session")
def expected(undisturbed: Flow) -> dict[str, Any]:
    """What every flow must end with."""
    return undisturbed.outcome()
