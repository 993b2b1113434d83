"""Environment -> Beam's runner and options. What is chosen here changes where and how fast, never the result.

BEAM_RUNNER   the runner; default FnApiRunner, the processes of this machine
BEAM_WORKERS  how many: processes here, workers of the pools, parallelism of Flink, machines of Dataflow
BEAM_OPTIONS  further flags of Beam, as on a command line; they win over what is chosen here
"""

import difflib
import os
import re
import shlex

from apache_beam.options.pipeline_options import (
    FlinkRunnerOptions,
    PipelineOptions,
    PortableOptions,
    SparkRunnerOptions,
    StandardOptions,
    _BeamArgumentParser,
)

from asr.errors import UserError
from asr.storage import is_remote
from pipelines import dataflow
from pipelines.local import LocalRunner, pools_of

LOCAL = "FnApiRunner"
LOCAL_RUNNER = f"{LocalRunner.__module__}.{LocalRunner.__name__}"
RUNNERS = (LOCAL, "PortableRunner", "FlinkRunner", "SparkRunner", "DataflowRunner")
REFUSED = {
    "DaskRunner": "it loses data",
    "DirectRunner": f"it looks for a runner to download; the one of this machine is {LOCAL}",
    "PrismRunner": f"it is downloaded; the one of this machine is {LOCAL}",
}
# A worker process takes 4 to 5 CPU seconds to start, in which another decodes about this much source audio.
MB_THAT_PAYS_A_WORKER = 200


def runner_options(n_shards: int, source_mb: float, root: str) -> PipelineOptions:
    """For a job of so many shards, which is so large and writes below `root`, a path or URI.

    Raises `UserError` for what cannot run: an unknown runner, a count that is none, flags that are missing.
    """
    runner = runner_name()
    flags = _flags()
    if runner == "DataflowRunner":
        return dataflow.options(n_shards, root, _asked_workers(), flags)
    asked = PipelineOptions(flags)
    if runner == LOCAL or (runner == "PortableRunner" and _is_driven_from_here(asked)):
        return _local(n_shards, source_mb, asked, flags)
    return PipelineOptions([f"--runner={runner}", *_cluster(runner, asked), *flags])


def runner_name() -> str:
    """BEAM_RUNNER, checked."""
    runner = os.environ.get("BEAM_RUNNER", LOCAL)
    if runner in REFUSED:
        raise UserError(f"BEAM_RUNNER is {runner}, which is not supported: {REFUSED[runner]}; use {', '.join(RUNNERS)}")
    if runner not in RUNNERS:
        (nearest,) = difflib.get_close_matches(runner, RUNNERS, n=1, cutoff=0)
        raise UserError(f"BEAM_RUNNER is {runner!r}; did you mean {nearest}? It is one of {', '.join(RUNNERS)}")
    return runner


def runs_here(options: PipelineOptions) -> bool:
    """Whether the job is this process' own, and not one of a service that goes on without it."""
    return options.view_as(StandardOptions).runner == LOCAL_RUNNER


def check_reach(root: str, n_local: int, n_rows: int) -> None:
    """Raises `UserError` where the chosen runner works on machines that cannot write to `root`, or not read recordings.

    `n_local` of the `n_rows` recordings lie on this machine.
    """
    runner, flags = runner_name(), _flags()
    in_containers = (PipelineOptions(flags).view_as(PortableOptions).environment_type or "").upper() == "DOCKER"
    if runner != "DataflowRunner" and not in_containers:
        return
    if not is_remote(root):
        raise UserError(
            f"BEAM_RUNNER is {runner}, whose workers cannot write to {root}; set FEATURES_ROOT=gs://BUCKET/PREFIX or s3://"
        )
    if n_local:
        raise UserError(
            f"BEAM_RUNNER is {runner}, whose workers cannot read the {n_local} of {n_rows} recordings that lie on this "
            "machine; copy them to a bucket (gcloud storage cp, aws s3 cp) and name them gs:// or s3:// in the table"
        )


def _flags() -> list[str]:
    """BEAM_OPTIONS. Raises `UserError` for a quote that never closes, or a flag that nearly is one of Beam's."""
    try:
        flags = shlex.split(os.environ.get("BEAM_OPTIONS", ""))
    except ValueError as error:
        raise UserError(f"BEAM_OPTIONS cannot be read: {str(error).lower()}") from None
    parser = _BeamArgumentParser(add_help=False, allow_abbrev=False)
    for options in PipelineOptions.__subclasses__():
        options._add_argparse_args(parser)
    known = {name for action in parser._actions for name in action.option_strings}
    for flag in (word.partition("=")[0] for word in flags if word.startswith("--")):
        near = difflib.get_close_matches(flag, known, n=1, cutoff=0.8)
        if flag not in known and near:  # others may be a job service's own
            raise UserError(f"BEAM_OPTIONS: {flag} is unknown; did you mean {near[0]}?")
    return flags


def _asked_workers() -> int | None:
    asked = os.environ.get("BEAM_WORKERS")
    if asked is None:
        return None
    if not re.fullmatch("[0-9]+", asked) or int(asked) < 1:
        raise UserError(f"BEAM_WORKERS is {asked!r}; it must be a count of processes, 1 or more")
    return int(asked)


def _is_driven_from_here(asked: PipelineOptions) -> bool:
    """Whether worker pools are named, but no job service that would drive them."""
    portable = asked.view_as(PortableOptions)
    if portable.job_endpoint not in (None, "embed"):
        return False
    if (portable.environment_type or "").upper() != "EXTERNAL":
        raise UserError(
            "BEAM_RUNNER is PortableRunner; BEAM_OPTIONS must name worker pools (--environment_type=EXTERNAL "
            "--environment_config=HOST:PORT,HOST:PORT) or a job service (--job_endpoint=HOST:PORT)"
        )
    return True


def _local(n_shards: int, source_mb: float, asked: PipelineOptions, flags: list[str]) -> PipelineOptions:
    pools = pools_of(asked)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    worth = len(pools) or max(1, min(cores, int(source_mb / MB_THAT_PAYS_A_WORKER)))
    n_workers = min(_asked_workers() or worth, n_shards)
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # of each worker: they share the cores already
    runner = f"{LocalRunner.__module__}.{LocalRunner.__name__}"
    return PipelineOptions([f"--direct_num_workers={n_workers}", *flags, f"--runner={runner}"])


def _cluster(runner: str, asked: PipelineOptions) -> list[str]:
    """Flags for Flink and Spark, or another job service. A worker process has one core: Python threads share one."""
    chosen = ["--sdk_worker_parallelism=0"]  # as many processes a machine as it has cores
    masters = {
        "FlinkRunner": asked.view_as(FlinkRunnerOptions).flink_master,
        "SparkRunner": asked.view_as(SparkRunnerOptions).spark_master_url,
    }
    here = re.fullmatch(r"\[(local|auto)\]|local(\[.+\])?", masters.get(runner, ""))
    if not here and asked.view_as(PortableOptions).environment_type is None:
        raise UserError(
            f"BEAM_RUNNER is {runner}; BEAM_OPTIONS must say where its workers find this project: "
            "--environment_type=DOCKER --environment_config=IMAGE (`make image` builds it), or EXTERNAL and HOST:PORT"
        )
    if runner == "FlinkRunner" and (n_workers := _asked_workers()):
        chosen.append(f"--parallelism={n_workers}")
    return chosen
