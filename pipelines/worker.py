"""The process id of a launcher -> a Beam worker process of this machine, which ends when the launcher does.

Beam's own goes on after a launcher that was killed: with its bundle, or waiting a minute for a connection.
"""

import ctypes
import os
import shlex
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def command() -> str:
    """What starts one from this process, for a shell, which `exec` replaces: the launcher must be the parent."""
    return f"exec {shlex.quote(sys.executable)} -m pipelines.worker {os.getpid()}"


def main(launcher: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != launcher:  # it ended before it could be watched
        sys.exit(1)
    from apache_beam.runners.worker import sdk_worker_main  # takes seconds, in which the launcher may end

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes of a terminal; the launcher says it
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - what a worker prints there, it also sends to the launcher
    sdk_worker_main.main([])


if __name__ == "__main__":
    main(int(sys.argv[1]))
