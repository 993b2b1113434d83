"""A checkpoint -> what tells it apart from any other: all that decides the words that it hears."""

import hashlib
from pathlib import Path

from asr import storage
from asr.shards import sha256_of

DECIDING = (".json", ".safetensors", ".bin", ".txt")  # weights, configs, tokenizers


def identity(model: str) -> str:
    """A digest of the files in a folder, or of what an object store says of them."""
    digest = hashlib.sha256()
    for name, found in sorted(storage.below(model).items()):
        if name.endswith(DECIDING):
            content = found.version if storage.is_remote(model) else sha256_of(Path(model) / name)
            digest.update(f"{name} {content}\n".encode())
    return digest.hexdigest()[:16]
