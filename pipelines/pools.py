"""Addresses of worker pools -> one address that starts each next worker in the next of them.

Beam's runner knows one address an environment; this stands there, in the launcher, and passes on what it is asked.
"""

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import grpc
from apache_beam.portability.api import beam_fn_api_pb2 as api
from apache_beam.portability.api import beam_fn_api_pb2_grpc as api_grpc
from apache_beam.utils.thread_pool_executor import shared_unbounded_instance

from asr.utterances import Seconds

START_S: Seconds = 30
STOP_S: Seconds = 10


class Spread(api_grpc.BeamFnExternalWorkerPoolServicer):
    """A pool of pools; `worker_pool_main` of apache_beam is what it speaks to, and like."""

    def __init__(self, pools: list[str]) -> None:
        self._next = itertools.cycle(pools)
        self._lock = threading.Lock()
        self._pool_of: dict[str, str] = {}  # worker id -> address

    def StartWorker(self, request: api.StartWorkerRequest, context: Any) -> api.StartWorkerResponse:  # noqa: N802
        with self._lock:
            pool = self._pool_of[request.worker_id] = next(self._next)
        try:
            with grpc.insecure_channel(pool) as channel:
                return api_grpc.BeamFnExternalWorkerPoolStub(channel).StartWorker(request, timeout=START_S)
        except grpc.RpcError as error:
            return api.StartWorkerResponse(error=f"the worker pool {pool} started no worker: {error}")

    def stop_all(self) -> None:
        """Lets the pools clear away their workers; Beam's runner only leaves them."""
        for worker_id, pool in self._pool_of.items():
            with suppress(grpc.RpcError), grpc.insecure_channel(pool) as channel:
                stop = api_grpc.BeamFnExternalWorkerPoolStub(channel).StopWorker
                stop(api.StopWorkerRequest(worker_id=worker_id), timeout=STOP_S)


@contextmanager
def spread(pools: list[str]) -> Iterator[str]:
    """The one address, `host:port` of this machine, as long as the block runs."""
    server = grpc.server(shared_unbounded_instance())
    port = server.add_insecure_port("localhost:0")
    servicer = Spread(pools)
    api_grpc.add_BeamFnExternalWorkerPoolServicer_to_server(servicer, server)
    server.start()
    try:
        yield f"localhost:{port}"
    finally:
        servicer.stop_all()
        server.stop(grace=None)
