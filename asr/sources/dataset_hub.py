"""The id of a dataset on the hub (HF_ENDPOINT) -> its commit with the names of its files, and files in the hub's cache.

HF_TOKEN, HF_HOME and HF_HUB_OFFLINE hold. A hub that does not answer within seconds is left for what is in the cache.
"""

import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, constants, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    IncompleteSnapshotError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from asr.errors import UserError, remedy

REACH_S = 4.0  # for the hub's first answer


class OutOfReach(Exception):
    """The hub did not answer as a hub does; says how it answered."""


@dataclass(frozen=True)
class Commit:
    """A dataset at one point of its history."""

    dataset: str
    revision: str | None  # the branch, tag or commit that was asked for
    sha: str
    files: list[str]

    @property
    def uri(self) -> str:
        return f"hf://datasets/{self.dataset}@{self.sha}"

    def fetch(self, files: Sequence[str]) -> Path:
        """The folder of the cache, which has `files` then. Raises `UserError` if the hub breaks off."""
        try:
            return Path(
                snapshot_download(
                    self.dataset,
                    repo_type="dataset",
                    revision=self.revision,  # not its commit, so that the cache knows the name when the hub is gone
                    allow_patterns=list(files),
                    endpoint=constants.ENDPOINT,
                )
            )
        except Exception as error:
            done = remedy(error)
            again = f"its cache is {constants.HF_HUB_CACHE}: {done}, and run it again" if done else "run it again"
            raise UserError(
                f"data.huggingface.path {self.dataset}: the download from {constants.ENDPOINT} broke off "
                f"({_line(error)}); {again}, what is there is kept"
            ) from None


def commit_of(dataset: str, revision: str | None) -> Commit:
    """What the hub has under `revision` (a branch, tag or commit; None: main).

    Raises `OutOfReach`, and `UserError` for what the hub does not know or does not give.
    """
    answer: dict[str, Any] = {}

    def ask() -> None:
        try:
            api = HfApi(endpoint=constants.ENDPOINT)
            answer["info"] = api.dataset_info(dataset, revision=revision, timeout=REACH_S)
        except Exception as error:  # whatever the transport raises: what matters is whether the hub said no
            answer["error"] = error

    # A daemon thread: no timeout of an HTTP client covers a resolver that hangs, and the exit must not wait for it.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(REACH_S)
    error = answer.get("error")
    match error:
        case GatedRepoError():
            raise UserError(
                f"data.huggingface.path {dataset}: the hub wants its terms accepted there, and HF_TOKEN set"
            )
        case RevisionNotFoundError():
            raise UserError(f"data.huggingface.revision {revision}: {constants.ENDPOINT} has none of {dataset}")
        case RepositoryNotFoundError():
            raise UserError(
                f"data.huggingface.path {dataset}: unknown to {constants.ENDPOINT}, and no directory here "
                "(a private one needs HF_TOKEN)"
            )
    if "info" not in answer:
        raise OutOfReach(_line(error) if error else f"no answer within {REACH_S:g} s")
    info = answer["info"]
    return Commit(dataset, revision, info.sha, [sibling.rfilename for sibling in info.siblings or []])


def cached(dataset: str, revision: str | None) -> Path | None:
    """The folder of the cache, named by the commit, with whatever was fetched of it; None where nothing was."""
    try:
        return Path(snapshot_download(dataset, repo_type="dataset", revision=revision, local_files_only=True))
    except IncompleteSnapshotError as error:
        return Path(error.snapshot_path)
    except LocalEntryNotFoundError:
        return None


def check_cached(dataset: str, revision: str | None, files: Sequence[str]) -> None:
    """Raises `UserError` where the cache has `files`, but not all that belong to them (`-00000-of-00002`)."""
    siblings = sorted({re.sub(r"-\d{5}-of-", "-?????-of-", file) for file in files})
    try:
        snapshot_download(
            dataset, repo_type="dataset", revision=revision, local_files_only=True, allow_patterns=siblings
        )
    except IncompleteSnapshotError:
        raise UserError(
            f"data.huggingface.path {dataset}: the hub is out of reach, and only a part is in its cache; run it again"
        ) from None


def _line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]
