"""The id of a checkpoint on the model hub -> a folder with its files, or why the hub is out of reach."""

import threading
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, constants, snapshot_download
from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError, RepositoryNotFoundError

from asr.errors import UserError, remedy

REACH_S = 4.0  # for the hub's first answer
# No pickles, no code.
PATTERNS = [
    "config.json",
    "generation_config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "model.safetensors",
    "model-*.safetensors",
    "model.safetensors.index.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "normalizer.json",
]


class OutOfReach(Exception):
    """The hub did not answer as a hub does, and the cache has nothing; says how it answered."""


def snapshot(name: str) -> Path:
    """The folder in Hugging Face's own cache, brought up to date if the hub (HF_ENDPOINT) answers within seconds.

    HF_HUB_OFFLINE, HF_HOME and HF_TOKEN hold. Raises `OutOfReach` where it does not answer and the cache has nothing;
    `UserError` for an id that the hub does not know or does not give, for a checkpoint of pickles alone, and for a
    broken download.
    """
    try:
        files = _files(name)
    except OutOfReach:
        if cached := _cached(name):
            return cached
        raise
    if not any(file.endswith(".safetensors") for file in files):
        has_pickle = ", but pytorch_model.bin, a pickle, which can run code" if "pytorch_model.bin" in files else ""
        raise UserError(f"model.checkpoint {name}: no model.safetensors on the hub{has_pickle}; name one that has it")
    try:
        return Path(snapshot_download(name, allow_patterns=PATTERNS, endpoint=constants.ENDPOINT))
    except Exception as error:
        done = remedy(error)
        again = f"its cache is {constants.HF_HUB_CACHE}: {done}, and run it again" if done else "run it again"
        raise UserError(
            f"model.checkpoint {name}: the download from {constants.ENDPOINT} broke off ({_line(error)}); {again}"
        ) from None


def _files(name: str) -> list[str]:
    """The names of the files that the hub has under `name`. Raises `OutOfReach`."""
    answer: dict[str, Any] = {}

    def ask() -> None:
        try:
            answer["info"] = HfApi(endpoint=constants.ENDPOINT).model_info(name, timeout=REACH_S)
        except Exception as error:  # whatever the transport raises: what matters is whether the hub said no
            answer["error"] = error

    # A daemon thread: no timeout of an HTTP client covers a resolver that hangs, and the exit must not wait for it.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(REACH_S)
    error = answer.get("error")
    if isinstance(error, GatedRepoError):
        raise UserError(f"model.checkpoint {name}: the hub wants its terms accepted there, and HF_TOKEN set")
    if isinstance(error, RepositoryNotFoundError):
        raise UserError(f"model.checkpoint {name}: unknown to {constants.ENDPOINT} (a private one needs HF_TOKEN)")
    if "info" not in answer:
        raise OutOfReach(_line(error) if error else f"no answer within {REACH_S:g} s")
    return [sibling.rfilename for sibling in answer["info"].siblings or []]


def _cached(name: str) -> Path | None:
    try:
        return Path(snapshot_download(name, allow_patterns=PATTERNS, local_files_only=True))
    except LocalEntryNotFoundError:
        return None


def _line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]
