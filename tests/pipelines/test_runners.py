"""Runners for real: worker pools of an environment of their own, killed workers; clusters up to the submitted graph."""

import os
import signal
import socket
import subprocess
import sys
import time
from concurrent import futures
from pathlib import Path

import apache_beam as beam
import grpc
import pytest
import soundfile
from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_job_api_pb2, beam_job_api_pb2_grpc
from apache_beam.portability.api import beam_runner_api_pb2 as api
from apache_beam.runners.portability.fn_api_runner import translations
from apache_beam.runners.worker import bundle_processor

from asr import params
from asr.clips.plan import PlannedShard
from asr.utterances import Utterance
from pipelines import watchdog
from pipelines.options import runner_options
from pipelines.shard_job import Job, build
from tests.builders import speech_like
from tests.running import WAIT_S, Project, identity

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
UMASKS = (0o027, 0o077)  # of the two pools: a shard's mode says which of them wrote it
N_CLIPS, CLIP_S, SHARD_MB = 48, 4, 0.2
SOON_S = 20
CONNECTING_S = 90  # a pool's worker that had not called back yet waits a minute for a launcher that is gone


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """(folder, rows) of so many shards that a job is still busy when one of its workers is killed."""
    folder = tmp_path_factory.mktemp("clips")
    rows = []
    for n in range(N_CLIPS):
        soundfile.write(folder / f"{n}.flac", speech_like(CLIP_S, seed=n, rate_hz=44_100), 44_100)
        size = (folder / f"{n}.flac").stat().st_size
        split = ("train", "train", "validation", "test")[n % 4]
        rows.append(Utterance(f"clip-{n}", f"{n}.flac", f"Texto {n}.", "es", split, source_bytes=size))
    return folder, rows


@pytest.fixture
def project(tmp_path, scratch, clips):
    return Project.make(tmp_path / "project", scratch, *clips, shard_mb=SHARD_MB)


@pytest.fixture(scope="module")
def expected(tmp_path_factory, scratch, clips):
    """The shards of a run in one process."""
    project = Project.make(tmp_path_factory.mktemp("plain") / "project", scratch, *clips, shard_mb=SHARD_MB)
    hashes = project.run(BEAM_WORKERS="1")
    assert len(hashes) > 20
    return hashes


@pytest.fixture(scope="module")
def worker_venv(tmp_path_factory):
    """An environment with this project and its extra `beam` alone, as the worker image has it."""
    folder = tmp_path_factory.mktemp("worker") / "venv"
    python = folder / "bin/python"
    name = "whisper-fine-tuning"
    fresh = ["--reinstall-package", name, "--refresh-package", name]
    for words in (
        ["venv", str(folder), "--python", sys.executable],
        [
            "pip",
            "install",
            "--system-certs",
            "--python",
            str(python),
            "--constraint",
            "requirements.lock",
            *fresh,
            ".[beam]",
        ],
    ):
        done = subprocess.run([BIN / "uv", *words], cwd=ROOT, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"NO WORKER ENVIRONMENT, so external worker pools stay unchecked: {done.stderr[-300:]}")
    return folder


class Pools:
    """Two worker pools: addresses, processes."""

    def __init__(self, venv, folder):
        self.ports = [free_port() for _ in UMASKS]
        environment = {"PATH": f"{venv / 'bin'}:/usr/bin:/bin", "HOME": str(folder), "OMP_NUM_THREADS": "1"}
        self.processes = [
            subprocess.Popen(
                [venv / "bin/python", "-m", "apache_beam.runners.worker.worker_pool_main", f"--service_port={port}"],
                cwd=folder,
                env=environment,
                umask=umask,
                stderr=subprocess.DEVNULL,
            )
            for port, umask in zip(self.ports, UMASKS, strict=True)
        ]

    def wait(self):
        until = time.monotonic() + WAIT_S
        while not all(watchdog.answers(f"localhost:{port}") for port in self.ports):
            assert time.monotonic() < until, "the pools do not listen"
            time.sleep(0.1)

    def workers(self):
        return [children(process.pid) for process in self.processes]

    @property
    def environment(self):
        addresses = ",".join(f"localhost:{port}" for port in self.ports)
        flags = f"--environment_type=EXTERNAL --environment_config={addresses}"
        return {"BEAM_RUNNER": "PortableRunner", "BEAM_OPTIONS": flags}


@pytest.fixture
def pools(worker_venv, project):
    started = Pools(worker_venv, project.folder)
    try:
        started.wait()
        yield started
    finally:
        for process in started.processes:
            process.kill()
            process.wait()


def free_port():
    with socket.socket() as listener:
        listener.bind(("localhost", 0))
        return listener.getsockname()[1]


def children(pid):
    """Processes that this one started, still alive."""
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        found += [int(child) for child in path.read_text().split()]
    return [child for child in found if Path(f"/proc/{child}/cmdline").read_bytes()]


def test_the_environment_of_a_worker_has_beam_and_nothing_to_train_with(worker_venv):
    code = (
        "import importlib.util as u, pipelines.shard_job as job;"
        "print(job.__file__, [n for n in ('torch', 'transformers', 'mlflow', 'dvc') if u.find_spec(n)])"
    )
    done = subprocess.run([worker_venv / "bin/python", "-c", code], cwd="/", capture_output=True, text=True, check=True)
    assert done.stdout.startswith(str(worker_venv))
    assert done.stdout.endswith("[]\n")


def test_two_worker_pools_share_a_job_and_give_the_same_bytes(expected, project, pools):
    assert project.run(**pools.environment) == expected
    modes = [(project.features / name).stat().st_mode & 0o777 for name in expected]
    assert {mode: modes.count(mode) > 5 for mode in modes} == {0o640: True, 0o600: True}
    assert pools.workers() == [[], []]


def ends_soon_with_one_line(running):
    killed = time.monotonic()
    status, said = running.end()
    assert time.monotonic() - killed < SOON_S
    errors = [line for line in said.splitlines() if line.startswith("error: ")]
    assert status == 1
    assert len(errors) == 1 and errors[0].startswith("error: a Beam worker died"), said
    assert errors[0].endswith("the finished shards are kept: run it again")
    assert "Traceback" not in said
    assert running.left_behind() == []


def test_a_killed_process_ends_the_job_and_the_next_run_keeps_the_finished_shards(expected, project):
    running = project.start(BEAM_WORKERS="2")
    running.wait_for_shards(project, 3)
    workers = children(running.process.pid)
    assert len(workers) == 2
    os.kill(workers[0], signal.SIGKILL)
    ends_soon_with_one_line(running)

    kept = project.finished()
    assert 0 < len(kept) < len(expected)
    assert project.run(BEAM_WORKERS="1") == expected
    assert {name: identity(project.features / name) for name in kept} == kept


def test_a_killed_worker_of_a_pool_ends_the_job_too(expected, project, pools):
    running = project.start(**pools.environment)
    running.wait_for_shards(project, 3)
    _, (worker,) = pools.workers()
    os.kill(worker, signal.SIGKILL)
    ends_soon_with_one_line(running)
    assert 0 < len(project.finished()) < len(expected)
    until = time.monotonic() + CONNECTING_S
    while pools.workers() != [[], []] and time.monotonic() < until:
        time.sleep(0.1)
    assert pools.workers() == [[], []]


def test_a_launcher_that_is_killed_while_its_workers_start_leaves_none(project):
    running = project.start(BEAM_WORKERS="2")
    while len(children(running.process.pid)) < 2:
        assert running.process.poll() is None
        time.sleep(0.02)
    running.process.kill()
    running.process.communicate()
    assert running.left_behind() == []


def test_a_pool_that_answers_no_more_ends_the_job(monkeypatch):
    said = []
    monkeypatch.setattr(watchdog, "end", said.append)
    monkeypatch.setattr(watchdog, "ASK_EVERY_S", 0.05)
    listener = socket.create_server(("localhost", 0))
    pool = f"localhost:{listener.getsockname()[1]}"
    with watchdog.ending_with_pools([pool], n_workers=0):
        time.sleep(0.5)
        assert said == []
        listener.close()
        time.sleep(0.5)
    assert said == [f"the worker pool {pool} answers no more; {watchdog.RESUME}"]


def test_workers_that_never_call_back_end_the_job(monkeypatch):
    said = []
    monkeypatch.setattr(watchdog, "end", said.append)
    monkeypatch.setattr(watchdog, "ASK_EVERY_S", 0.05)
    monkeypatch.setattr(watchdog, "CALL_BACK_S", 0.2)
    with socket.create_server(("localhost", 0)) as listener:
        pool = f"localhost:{listener.getsockname()[1]}"
        with watchdog.ending_with_pools([pool], n_workers=2):
            time.sleep(0.5)
    assert said[0].startswith("0 of 2 workers have called back")


class JobService(beam_job_api_pb2_grpc.JobServiceServicer):
    """Stands where Flink's or Spark's job server would, and keeps what is submitted."""

    def DescribePipelineOptions(self, request, context):  # noqa: N802
        return beam_job_api_pb2.DescribePipelineOptionsResponse()

    def Prepare(self, request, context):  # noqa: N802
        self.submitted = request
        context.abort(grpc.StatusCode.CANCELLED, "it is all that we wanted to see")


@pytest.fixture
def job_service():
    server = grpc.server(futures.ThreadPoolExecutor(2))
    service = JobService()
    beam_job_api_pb2_grpc.add_JobServiceServicer_to_server(service, server)
    service.address = f"localhost:{server.add_insecure_port('localhost:0')}"
    server.start()
    yield service
    server.stop(0)


@pytest.mark.parametrize(
    ("runner", "flags", "arrives"),
    [
        ("FlinkRunner", "--flink_master=jobmanager:8081", {"parallelism": "12"}),
        ("SparkRunner", "--spark_master_url=spark://host:7077", {}),
        ("PortableRunner", "", {}),
    ],
)
@pytest.mark.parametrize(
    ("environment", "urn"),
    [
        ("--environment_type=DOCKER --environment_config=registry/features:1", common_urns.environments.DOCKER.urn),
        ("--environment_type=EXTERNAL --environment_config=pool:50000", common_urns.environments.EXTERNAL.urn),
    ],
    ids=["image", "pool"],
)
def test_a_cluster_gets_the_graph_and_the_options(
    job_service, monkeypatch, scratch, runner, flags, arrives, environment, urn
):
    monkeypatch.setenv("BEAM_RUNNER", runner)
    monkeypatch.setenv("BEAM_WORKERS", "12")
    monkeypatch.setenv("BEAM_OPTIONS", f"{flags} --job_endpoint={job_service.address} {environment}")
    rules = params.check({})
    job = Job("s3://bucket/plan.parquet", "s3://bucket", str(scratch), rules.audio, rules.text, rules.features)
    missing = [PlannedShard(f"train/{n:05d}.parquet", n, n_rows=10, source_bytes=10**6) for n in range(50)]
    pipeline = beam.Pipeline(options=runner_options(len(missing), 1e6, job.home))
    build(pipeline, job, missing)
    with pytest.raises(grpc.RpcError, match="all that we wanted"):
        pipeline.run()

    graph = job_service.submitted.pipeline
    payload_of = {each.urn: each.payload for each in graph.components.environments.values()}
    assert list(payload_of) == [urn]
    place = (api.DockerPayload if "DOCKER" in environment else api.ExternalPayload).FromString(payload_of[urn])
    assert "registry/features:1" in str(place) or "pool:50000" in str(place)
    options = dict(job_service.submitted.pipeline_options)
    assert options["beam:option:sdk_worker_parallelism:v1"] == "0"
    for name, value in arrives.items():
        assert str(options[f"beam:option:{name}:v1"]) == value
    assert len(graph.SerializeToString()) < 20_000 + 200 * len(missing)  # references alone
    assert fused(graph) == [
        ["Plan/Impulse"],
        ["Plan/FlatMap", "Plan/Map"],
        ["Write shards/Spread"],
        ["Write shards/Write"],
    ]


def fused(graph):
    """The stages that a runner makes of a graph, by the names of their steps, where reshuffling is its own."""
    known = frozenset(urn.urn for urn in (common_urns.primitives.IMPULSE, common_urns.composites.RESHUFFLE))
    phases = [
        translations.annotate_downstream_side_inputs,
        translations.annotate_stateful_dofns_as_roots,
        translations.greedily_fuse,
        translations.sort_stages,
    ]
    _, stages = translations.create_and_optimize_stages(graph, phases, known)
    moves = (bundle_processor.DATA_INPUT_URN, bundle_processor.DATA_OUTPUT_URN)
    return [
        [step.unique_name.partition("(")[0] for step in stage.transforms if step.spec.urn not in moves]
        for stage in stages
    ]
