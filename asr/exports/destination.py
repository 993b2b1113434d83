"""A repository on the model hub -> who sees it and what it has; and files -> one commit in it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import validate_repo_id

from asr.errors import UserError
from asr.exports.contents import Contents

REACH_S = 10.0  # for the hub's first answer
MAIN = "main"  # the branch that a new repository has
OF_THE_HUB = ".gitattributes"  # which the hub writes into a new repository
MESSAGE = "Publish a fine-tuned Whisper"


@dataclass(frozen=True)
class Destination:
    """A branch of a repository, its last commit and the files in it; None, and those of `main`, where it would be new.

    `user` owns the token, None without one: then a private repository looks as if it were new.
    """

    repo: str
    branch: str
    user: str | None
    is_new: bool
    is_private: bool
    commit: str | None = None
    files: frozenset[str] = frozenset()


def check_name(repo: str) -> None:
    """Raises `UserError` unless `repo` can be the name of a repository."""
    try:
        validate_repo_id(repo)
        is_whole = "/" in repo
    except HFValidationError:
        is_whole = False
    if not is_whole:
        raise UserError(f"repository {repo!r}: name it OWNER/NAME, as me/whisper-sw, of letters, digits and - _ .")


def find(api: HfApi, repo: str, branch: str, is_private: bool) -> Destination:
    """What is under that name on the hub; a new one would be private or not as `is_private` says.

    Raises `UserError` where the hub is out of reach or refuses the token, and for a public one that shall be private.
    """
    with _told(api, repo):
        found = _found(api, repo, branch)
        user = None
        if api.token:
            answer = api.whoami()
            user = str(answer["name"])
            if answer.get("auth", {}).get("accessToken", {}).get("role") == "read":
                raise UserError(f"the token of {user} may only read; {remedy(api)}")
    if found is None:
        return Destination(repo, branch, user, is_new=True, is_private=is_private)
    if is_private and not found.private:
        raise UserError(
            f"{api.endpoint}/{repo} is there, and public, which --private does not change; make it private in its "
            "settings, or name another"
        )
    files = frozenset(sibling.rfilename for sibling in found.siblings or []) - {OF_THE_HUB}
    return Destination(repo, branch, user, False, bool(found.private), found.sha, files)


def push(api: HfApi, contents: Contents, to: Destination) -> str:
    """Sends what the branch lacks, in one commit; the URL of that, or of the last one where the branch lacks nothing.

    Deletes nothing. Raises `UserError` where the hub does not take it, or leaves files out.
    """
    with _told(api, to.repo):
        if to.is_new:  # not exist_ok: what appeared meanwhile may be as public as this one must not be
            api.create_repo(to.repo, private=to.is_private)
        if to.commit is None and to.branch != MAIN:
            api.create_branch(to.repo, branch=to.branch)
        # Not upload_folder, which looks for files anew and makes several commits of an upload that takes long.
        additions = [CommitOperationAdd(name, contents.folder / name) for name in contents.size_bytes]
        commit = api.create_commit(to.repo, additions, commit_message=MESSAGE, revision=to.branch)
        arrived = api.model_info(to.repo, revision=commit.oid, timeout=REACH_S).siblings or []
    missing = sorted(contents.size_bytes.keys() - {sibling.rfilename for sibling in arrived})
    if missing:
        raise UserError(f"{commit.commit_url} is without {', '.join(missing)}; take it from .gitignore on the hub")
    return commit.commit_url


def _found(api: HfApi, repo: str, branch: str) -> Any | None:
    """The hub's account of a repository, or None."""
    try:
        try:
            return api.model_info(repo, revision=branch, timeout=REACH_S)
        except RevisionNotFoundError:
            found = api.model_info(repo, timeout=REACH_S)
            found.sha = None
            return found
    except GatedRepoError:
        raise UserError(f"{api.endpoint}/{repo} is gated; ask its owner for access, or name another") from None
    except RepositoryNotFoundError:
        return None


@contextmanager
def _told(api: HfApi, repo: str) -> Iterator[None]:
    """Whatever the hub or the way there raises is said in a line, without the token."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # of the transport, of the hub, or of huggingface_hub where an answer makes no sense
        said = _reason(api, repo, error)
        raise UserError(said.replace(api.token, "***") if isinstance(api.token, str) else said) from None


def _reason(api: HfApi, repo: str, error: BaseException) -> str:
    if isinstance(error, RuntimeError) and error.__cause__:  # around what went wrong with a large file
        error = error.__cause__
    line = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    match error:
        case HfHubHTTPError() if error.response.status_code == 401:
            return f"{api.endpoint} refuses the token; {remedy(api)}"
        case HfHubHTTPError() if error.response.status_code == 403:
            why = f" ({' '.join(error.server_message.split())})" if error.server_message else ""
            return f"{api.endpoint}: the token may not write to {repo}{why}; {remedy(api)}, or name one of your own"
        case HfHubHTTPError() if error.response.status_code >= 500:
            where = error.response.url.path
            return f"{api.endpoint} is out of order ({error.response.status_code} at {where}); run it again later"
        case OfflineModeIsEnabled():
            return "HF_HUB_OFFLINE is set; unset it to publish"
        case json.JSONDecodeError() | KeyError():
            return f"{api.endpoint} does not answer as a hub does ({line}); check HF_ENDPOINT"
        case HfHubHTTPError() | ValueError():
            return f"{api.endpoint} does not take it ({line})"
        case OSError() if error.filename:
            return f"{error.filename}: {error.strerror}"
    return f"{api.endpoint} cannot be reached ({line}); check the network and HF_ENDPOINT, and run it again"


def remedy(api: HfApi) -> str:
    """What helps against a token that is missing or does not suffice."""
    return f"make one that may write, {api.endpoint}/settings/tokens, and set HF_TOKEN or run `hf auth login`"
