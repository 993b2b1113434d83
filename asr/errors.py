"""What goes wrong in a way that a user can mend: one line that names the thing and the remedy, no traceback."""

import errno
import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from asr.secrets import printable

_REMEDIES = {
    errno.ENOSPC: "make room there",
    errno.EDQUOT: "make room there, or ask for a larger quota",
    errno.EFBIG: "raise the limit on the size of a file (ulimit -f)",
    errno.EROFS: "mount it so that it can be written",
    errno.EACCES: "change its permissions",
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
}


class UserError(ValueError):
    """Raised with a message that names the offending thing, its value, and what would be right."""


@contextmanager
def ending_in_a_line(kept: str = "") -> Iterator[None]:
    """What a user can mend inside ends the process with an `error:` line a problem and exit code 1.

    `kept` is what the system's own errors (no space, no permission) leave, such as "finished shards are kept".
    """
    try:
        yield
    except UserError as error:
        sys.exit("\n".join(f"error: {line}" for line in printable(str(error)).splitlines()))
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    except OSError as error:
        if not error.errno:
            raise
        parts = (f"error: {_place(error)}: {os.strerror(error.errno)}", _again(remedy(error)), kept)
        sys.exit(printable("; ".join(filter(None, parts))))


def remedy(error: Exception) -> str:
    """What a user can do about a disk or a limit that refused to write; empty where that is not what it says.

    Libraries that are not Python's own say the system's number in words.
    """
    said = re.search(r"(?:os error|errno) (\d+)", str(error), re.IGNORECASE)
    number = getattr(error, "errno", None) or (int(said[1]) if said else 0)
    return _REMEDIES.get(number, "")


def _again(done: str) -> str:
    return done and f"{done}, and run it again"


def _place(error: OSError) -> str:
    """The file, as far as it is told."""
    named = re.search(r"file '([^']+)'", str(error))
    return str(error.filename or (named[1] if named else f"a file below {Path.cwd()}"))
