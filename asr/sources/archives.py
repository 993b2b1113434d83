"""An archive (.tar, .tar.gz, .tar.bz2, .tar.xz) -> the files in it that are wanted, below a folder."""

import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from asr.errors import UserError
from asr.progress import track

SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")


def is_archive(path: Path) -> bool:
    return path.name.endswith(SUFFIXES) and path.is_file()


def unpack(archive: Path, folder: Path, is_wanted: Callable[[str], bool], counted: str = "files") -> None:
    """Writes the files whose names in the archive are wanted; none goes elsewhere than below `folder`.

    Raises `UserError` where the archive is damaged or half downloaded, or a name in it leads out of the folder.
    """
    with _explained(archive), tarfile.open(archive) as tar:
        for member in track((each for each in tar if each.isfile()), f"Reading {archive.name}, {counted}"):
            if is_wanted(member.name):
                tar.extract(member, folder, filter="data")


@contextmanager
def _explained(archive: Path) -> Iterator[None]:
    try:
        yield
    except tarfile.FilterError as error:
        raise UserError(f"{archive} is not safe to unpack: {error}") from None
    except (tarfile.TarError, EOFError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        said = str(error).splitlines()[0].rstrip(":")
        raise UserError(f"{archive} is damaged or only half there ({said}); download it again") from None
