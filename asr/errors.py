"""What goes wrong in a way that a user can mend: one line that names the thing and the remedy, no traceback."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from asr.secrets import printable


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
        if error.errno is None:
            raise
        line = printable(f"error: {error.filename or 'input/output'}: {error.strerror}")
        sys.exit(f"{line}; {kept}" if kept else line)
