"""A bucket and a count of shards -> Dataflow's options for work that is bound by processors."""

import hashlib
import math

from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions, WorkerOptions

from asr.errors import UserError
from asr.storage import join

MACHINE, VCPUS = "n2-standard-4", 4
MACHINES = 8  # at most, where BEAM_WORKERS does not say
DISK_GB = 50  # the image, and a shard a process before it is put where it belongs


def options(n_shards: int, root: str, n_machines: int | None, flags: list[str]) -> PipelineOptions:
    """For so many shards below `root`, on `n_machines` at most.

    A process a vCPU is Dataflow's way with Python; a second thread in it would only wait for the first. All machines
    start at once, since references are too few bytes for the autoscaler to see the work behind them; it may still
    take machines away. Raises `UserError` where `root`, project, region or image are missing.
    """
    if not root.startswith("gs://"):
        raise UserError(
            f"BEAM_RUNNER is DataflowRunner, whose workers cannot write to {root}; set FEATURES_ROOT=gs://BUCKET/PREFIX"
        )
    _check(PipelineOptions(flags))
    most = min(n_machines or MACHINES, math.ceil(n_shards / VCPUS))
    chosen = {
        # one job at a time may write below a root: Dataflow refuses a second of the same name
        "job_name": f"whisper-features-{hashlib.sha256(root.encode()).hexdigest()[:8]}",
        "temp_location": join(root, "temp"),
        "staging_location": join(root, "staging"),
        "sdk_location": "container",  # Beam and this project lie in the image: nothing is installed at start
        "machine_type": MACHINE,
        "disk_size_gb": DISK_GB,
        "number_of_worker_harness_threads": 1,
        "autoscaling_algorithm": "THROUGHPUT_BASED",
        "num_workers": most,
        "max_num_workers": most,
    }
    words = [f"--{name}={value}" for name, value in chosen.items()]
    return PipelineOptions(["--runner=DataflowRunner", "--no_save_main_session", *words, *flags])


def _check(asked: PipelineOptions) -> None:
    cloud = asked.view_as(GoogleCloudOptions)
    if not asked.view_as(WorkerOptions).sdk_container_image:
        raise UserError(
            "BEAM_OPTIONS has no --sdk_container_image=REGION-docker.pkg.dev/PROJECT/REPOSITORY/NAME:TAG; "
            "`make image IMAGE=...` builds and pushes it: see docs/scaling.md"
        )
    for name, example in {"project": "my-project", "region": "europe-west1"}.items():
        if not getattr(cloud, name):
            raise UserError(f"BEAM_OPTIONS has no --{name}=..., such as --{name}={example}")
