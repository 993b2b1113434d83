"""A stage's command and the GPUs of this machine -> the same command as that many processes of one training.

torchrun's own Python API starts them (no configuration of accelerate in the user's home is read), on a free port of
the loopback. What a failed process said last is shown once, as if there were one process.
"""

import json
import logging
import os
import runpy
import signal
import socket
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.distributed import TCPStore
from torch.distributed.elastic.multiprocessing.api import DefaultLogsSpecs, SignalException, Std
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure
from torch.distributed.elastic.rendezvous.dynamic_rendezvous import DynamicRendezvousHandler
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from asr.errors import UserError

PROCESSES = "TRAIN_PROCESSES"  # in the environment: as many processes, also without GPUs
ERROR_FILE = "TORCHELASTIC_ERROR_FILE"  # torchrun's, one for each process
SAVING_S = 300  # for a checkpoint to be saved after SIGTERM, before SIGKILL


def n_processes(requested: str | None, n_gpus: int) -> int:
    """How many processes train: `requested` (TRAIN_PROCESSES), else one for each visible GPU, and at least one.

    Raises `UserError` for what is no positive number, or over the GPUs where there are any.
    """
    if not requested:
        return max(1, n_gpus)
    if not requested.isdecimal() or int(requested) < 1:
        raise UserError(f"{PROCESSES} is {requested!r}, but must be a number of processes, such as 2")
    if 0 < n_gpus < int(requested):
        raise UserError(f"{PROCESSES} is {requested}, but {n_gpus} GPUs are visible; take at most {n_gpus}")
    return int(requested)


def relaunched() -> int | None:
    """Runs this very command (`python -m stages.NAME ARGUMENTS`) in several processes; their exit status.

    None: this process shall train itself, as the only one, or because it is one of those that were started here or by
    accelerate, torchrun or a scheduler that sets RANK. SIGTERM and SIGINT are handed on, and the processes waited for.
    Raises `UserError` for a TRAIN_PROCESSES that makes no sense.
    """
    if "RANK" in os.environ or "WORLD_SIZE" in os.environ:
        return None
    n = n_processes(os.environ.get(PROCESSES), torch.cuda.device_count())
    return None if n == 1 else launch(_module(), sys.argv[1:], n)


def is_first_process() -> bool:
    """Whether this process is the only one of a training, or the one that writes and reports."""
    return os.environ.get("RANK", "0") == "0"


def _module() -> str:
    """The name that `python -m` was given."""
    name: str = sys.modules["__main__"].__spec__.name  # type: ignore[union-attr]
    return name


def launch(module: str, arguments: list[str], n: int) -> int:
    """Runs `python -m module arguments` as `n` processes; their exit status. The first one has the terminal."""
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, len(os.sched_getaffinity(0)) // n)))
    if sys.platform == "linux":
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # not the one that this machine's name leads to
    logging.disable()  # torchrun's own account; from here on this process only waits
    with tempfile.TemporaryDirectory(prefix="processes-") as folder:
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=n,
            run_id="training",
            rdzv_backend="c10d",
            rdzv_endpoint=str(Path(folder, "rendezvous")),
            rdzv_configs={"store_type": "file"},  # a server's would be open to every network, and it is unpickled
            local_addr="127.0.0.1",  # the name of a machine without a network need not resolve
            max_restarts=0,
            signals_to_handle="SIGTERM,SIGINT",
            shutdown_timeout=SAVING_S,
            logs_specs=DefaultLogsSpecs(folder, redirects=dict.fromkeys(range(1, n), Std.ALL)),
        )
        try:
            with _meeting_on_loopback():
                elastic_launch(config, sys.executable)("-m", "asr.train.launch", module, *arguments)
        except ChildFailedError as failed:
            return _explain(failed.failures, n)
        except SignalException as ended:
            return 128 + ended.sigval
    return 0


@contextmanager
def _meeting_on_loopback() -> Iterator[None]:
    """Has the store in which the processes find each other listen to this machine alone, and not to every network."""
    torchs: Any = DynamicRendezvousHandler
    before = torchs._create_tcp_store_server

    def create(handler: DynamicRendezvousHandler, address: str, port: int) -> TCPStore:
        listener = socket.create_server(("127.0.0.1", port))
        number = listener.getsockname()[1]
        return TCPStore("127.0.0.1", number, is_master=True, wait_for_workers=False, master_listen_fd=listener.detach())

    torchs._create_tcp_store_server = create
    try:
        yield
    finally:
        torchs._create_tcp_store_server = before


def _explain(failures: dict[int, ProcessFailure], n: int) -> int:
    """Says once why the processes failed; their exit status.

    One failure breaks the connections of all others: what a user can mend comes first, then a process that was killed,
    then the earliest. SIGTERM is what torchrun ends the others with.
    """

    def weight(failure: ProcessFailure) -> tuple[bool, bool, float]:
        said = failure.error_file_data
        killed = failure.exitcode < 0 and failure.exitcode != -signal.SIGTERM
        return not said.get("mendable", False), not killed, said.get("time_s", time.time())

    first = min(failures.values(), key=weight)
    who = f"process {first.local_rank + 1} of {n}"
    if "time_s" in first.error_file_data:  # a signal after its last words was torchrun's
        text, status = first.error_file_data["message"], 1
        if not first.error_file_data["mendable"]:
            text = f"{who}:\n{text}"
    elif first.exitcode == -signal.SIGKILL:
        text, status = (
            (
                f"error: {who} was killed, probably by the kernel for want of memory; lower {PROCESSES}, or see "
                "train.gradient_accumulation_steps"
            ),
            128 + signal.SIGKILL,
        )
    elif first.exitcode < 0:
        text, status = f"error: {who} ended by {first.signal_name()}", 128 - first.exitcode
    else:
        text, status = "", first.exitcode
    if text:
        print(text.rstrip(), file=sys.stderr, flush=True)
    return status


def main() -> None:
    """One of the processes: runs a module as `python -m` does, and keeps what it says last for the one that waits."""
    del sys.argv[0]
    try:
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    except SystemExit as left:
        if not isinstance(left.code, str):
            raise
        _keep(left.code, mendable=True)
    except Exception:
        _keep(traceback.format_exc(), mendable=False)
    else:
        return
    sys.exit(1)


def _keep(text: str, *, mendable: bool) -> None:
    """Writes the file that torchrun reads after the process, as its format wants, with what `_explain` asks for."""
    now_s = time.time()
    said = {"message": text, "timestamp": int(now_s), "time_s": now_s, "mendable": mendable}
    Path(os.environ[ERROR_FILE]).write_text(json.dumps(said), encoding="utf-8")


if __name__ == "__main__":
    main()
