"""A pipeline -> its run on the processes of this machine, or on worker pools that this machine drives."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import grpc
from apache_beam import Pipeline
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions, PortableOptions
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner, RunnerResult
from apache_beam.transforms.environments import ExternalEnvironment, SubprocessSDKEnvironment

from asr.errors import UserError
from pipelines import worker
from pipelines.pools import spread
from pipelines.watchdog import answers, ending_with_pools, ending_with_workers


class LocalRunner(FnApiRunner):
    """Beam's FnApiRunner, whose processes end with this one, which ends when one of them is gone.

    `--environment_type=EXTERNAL --environment_config=HOST:PORT,HOST:PORT` names worker pools; otherwise
    `--direct_num_workers` above 1 are processes of this machine, and 1 is this process itself.
    """

    def run_pipeline(self, pipeline: Pipeline, options: PipelineOptions) -> RunnerResult:
        n_workers = options.view_as(DirectOptions).direct_num_workers
        pools = pools_of(options)
        with ExitStack() as stack:
            if pools:
                stack.enter_context(ending_with_pools(pools, n_workers))
                stack.enter_context(ending_with_workers())
                self._default_environment = ExternalEnvironment(stack.enter_context(spread(pools)))
            elif n_workers > 1:
                stack.enter_context(ending_with_workers())
                stack.enter_context(on_loopback())
                self._default_environment = SubprocessSDKEnvironment.from_command_string(worker.command())
            return super().run_pipeline(pipeline, options)


@contextmanager
def on_loopback() -> Iterator[None]:
    """Has the servers that the runner opens for its workers listen to this machine alone.

    Beam's own listen to every network, and take whoever calls for a worker, whose answers they unpickle.
    """
    made = grpc.server

    def server(*arguments: Any, **options: Any) -> Any:
        opened = made(*arguments, **options)
        bind = opened.add_insecure_port
        opened.add_insecure_port = lambda address: bind(address.replace("[::]", "127.0.0.1"))
        return opened

    grpc.server = server
    try:
        yield
    finally:
        grpc.server = made


def pools_of(options: PipelineOptions) -> list[str]:
    """The addresses of the worker pools, if any. Raises `UserError` for one where nothing listens."""
    portable = options.view_as(PortableOptions)
    if (portable.environment_type or "").upper() != "EXTERNAL":
        return []
    pools = [pool.strip() for pool in (portable.environment_config or "").split(",")]
    for pool in pools:
        if not answers(pool):
            start = "python -m apache_beam.runners.worker.worker_pool_main --service_port=PORT"
            raise UserError(f"--environment_config: no worker pool listens at {pool!r}; start one there: {start}")
    return pools
