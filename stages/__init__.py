"""The stages of dvc.yaml, a small file each: read params, call the library, write outputs."""

import ctypes
import json
import logging
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from asr.damage import check_inputs
from asr.errors import ending_in_a_line

PR_SET_PDEATHSIG = 1  # linux/prctl.h
logging.basicConfig(level=logging.ERROR)  # before Beam is imported, which warns of every client that is not installed
logging.getLogger("apache_beam").setLevel(logging.CRITICAL)  # what its errors say is in the exception too
COSTS = Path("data/costs.jsonl")  # what each stage took; nothing depends on it


def _leave(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Ctrl-C while modules are imported is nothing to trace, and ends as it does later."""
    if issubclass(kind, KeyboardInterrupt):
        os._exit(128 + signal.SIGINT)
    sys.__excepthook__(kind, error, trace)


sys.excepthook = _leave


def stage(main: Callable[..., None]) -> None:
    """Runs a stage with the paths that dvc.yaml hands it.

    What a user can mend ends in one line a problem and exit code 1. A stage that ends well leaves what it took.
    """
    _end_with_parent()
    started = time.monotonic()
    name, paths = Path(sys.argv[0]).stem, [Path(word) for word in sys.argv[1:]]
    with ending_in_a_line(), _sound_inputs(name, paths):
        main(*paths)
    _note_costs(name, time.monotonic() - started)


@contextmanager
def _sound_inputs(name: str, paths: list[Path]) -> Iterator[None]:
    """Names what is damaged among them: all but the shards before the block, and whatever has broken it afterwards."""
    if _is_one_of_several():  # whoever started it has looked
        yield
        return
    check_inputs(name, paths)
    try:
        yield
    except Exception:
        check_inputs(name, paths, with_shards=True)
        raise


def _is_one_of_several() -> bool:
    return "TORCHELASTIC_RUN_ID" in os.environ


def _note_costs(name: str, wall_s: float) -> None:
    if _is_one_of_several():  # whoever started them notes what all took
        return
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    costs = {
        "stage": name,
        "ended": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "wall_s": round(wall_s, 2),
        "cpu_s": round(sum(part.ru_utime + part.ru_stime for part in usage), 2),
        "peak_mb": round(max(part.ru_maxrss for part in usage) / 1024),  # of the largest process
    }
    COSTS.parent.mkdir(exist_ok=True)
    with COSTS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(costs) + "\n")


def _end_with_parent() -> None:
    """A killed `dvc repro` would leave its stage running (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
