"""Environment -> Beam's runner and options. What is chosen here changes where and how fast, never the result.

BEAM_RUNNER   the runner; default FnApiRunner, Beam's own on this machine
BEAM_WORKERS  processes of FnApiRunner; default: as many as have enough to do, at most one a core
BEAM_OPTIONS  further flags of Beam, as on a command line
"""

import os
import shlex
import sys
import threading

from apache_beam.options.pipeline_options import PipelineOptions

from asr.errors import UserError

LOCAL = "FnApiRunner"
# A worker process takes 4 to 5 CPU seconds to start, in which another decodes about this much source audio.
MB_THAT_PAYS_A_WORKER = 200


def runner_options(n_shards: int, source_mb: float) -> PipelineOptions:
    """For a job of so many shards, which is so large."""
    runner = os.environ.get("BEAM_RUNNER", LOCAL)
    flags = shlex.split(os.environ.get("BEAM_OPTIONS", ""))
    if runner != LOCAL:
        return PipelineOptions([f"--runner={runner}", *flags])
    workers = _workers(n_shards, source_mb)
    mode = "in_memory" if workers == 1 else "multi_processing"
    if workers > 1:
        _exit_with_workers()
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # of each worker: they share the cores already
    return PipelineOptions(
        [f"--runner={LOCAL}", f"--direct_running_mode={mode}", f"--direct_num_workers={workers}", *flags]
    )


def _workers(n_shards: int, source_mb: float) -> int:
    asked = os.environ.get("BEAM_WORKERS")
    if asked is None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return max(1, min(cores, n_shards, int(source_mb / MB_THAT_PAYS_A_WORKER)))
    if not asked.isdigit() or int(asked) < 1:
        raise UserError(f"BEAM_WORKERS is {asked!r}; it must be a count of processes, 1 or more")
    return min(int(asked), n_shards)


def _exit_with_workers() -> None:
    """The local runner waits for ever for a worker that was killed; this ends the job instead."""

    def hook(args: threading.ExceptHookArgs) -> None:
        threading.__excepthook__(args)
        if args.thread is not None and args.thread.name == "run_worker":
            print(
                "error: a Beam worker died (out of memory, or killed); the finished shards are kept: run it again",
                file=sys.stderr,
                flush=True,
            )
            os._exit(1)

    threading.excepthook = hook
