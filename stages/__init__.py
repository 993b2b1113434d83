"""The stages of dvc.yaml, a small file each: read params, call the library, write outputs."""

import ctypes
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from asr.errors import UserError

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def stage(main: Callable[..., None]) -> None:
    """Runs a stage with the paths that dvc.yaml hands it. What a user can mend ends in one line a problem, exit code 1."""
    _end_with_parent()
    try:
        main(*map(Path, sys.argv[1:]))
    except UserError as error:
        sys.exit("\n".join(f"error: {line}" for line in str(error).splitlines()))
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    except OSError as error:
        if error.filename is None and error.errno is None:
            raise
        sys.exit(f"error: {error.filename or 'input/output'}: {error.strerror}")


def _end_with_parent() -> None:
    """A killed `dvc repro` would leave its stage running (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
