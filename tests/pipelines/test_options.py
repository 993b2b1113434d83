import re

import pytest
from apache_beam.options.pipeline_options import (
    DebugOptions,
    DirectOptions,
    FlinkRunnerOptions,
    GoogleCloudOptions,
    PortableOptions,
    SetupOptions,
    StandardOptions,
    WorkerOptions,
)

from asr.errors import UserError
from pipelines import local, options
from pipelines.options import check_reach, runner_options, runs_here

CLOUD = "--project=my-project --region=europe-west1 --sdk_container_image=docker.pkg.dev/p/r/features:1"


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in ("BEAM_RUNNER", "BEAM_WORKERS", "BEAM_OPTIONS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(options.os, "sched_getaffinity", lambda pid: set(range(8)))


def choose(monkeypatch, runner, flags="", workers=None):
    monkeypatch.setenv("BEAM_RUNNER", runner)
    monkeypatch.setenv("BEAM_OPTIONS", flags)
    if workers:
        monkeypatch.setenv("BEAM_WORKERS", workers)


def processes(n_shards, source_mb):
    chosen = runner_options(n_shards, source_mb, "data/work")
    assert chosen.view_as(StandardOptions).runner == "pipelines.local.LocalRunner"
    return chosen.view_as(DirectOptions).direct_num_workers


def test_a_small_corpus_is_not_worth_a_process_and_a_large_one_takes_every_core():
    assert processes(n_shards=5, source_mb=90) == 1
    assert processes(n_shards=50, source_mb=100_000) == 8


def test_there_are_no_more_workers_than_shards(monkeypatch):
    assert processes(n_shards=3, source_mb=100_000) == 3
    monkeypatch.setenv("BEAM_WORKERS", "6")
    assert processes(n_shards=2, source_mb=1) == 2


@pytest.mark.parametrize("count", ["zero", "0", "-1", "1.5", "", "²"])
@pytest.mark.parametrize("runner", ["FnApiRunner", "DataflowRunner"])
def test_a_worker_count_that_is_none_is_refused_by_name(monkeypatch, runner, count):
    choose(monkeypatch, runner, CLOUD)
    monkeypatch.setenv("BEAM_WORKERS", count)
    with pytest.raises(UserError, match="BEAM_WORKERS"):
        runner_options(5, 90, "gs://bucket/features")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("DataFlowRunner", "'DataFlowRunner'; did you mean DataflowRunner"),
        ("flink", "'flink'; did you mean FlinkRunner"),
        ("", "did you mean"),
        ("DaskRunner", "DaskRunner, which is not supported: it loses data"),
        ("DirectRunner", "the one of this machine is FnApiRunner"),
    ],
)
def test_another_runner_is_refused_with_the_nearest_or_the_reason(monkeypatch, name, said):
    choose(monkeypatch, name)
    with pytest.raises(UserError, match=said):
        runner_options(5, 90, "data/work")


def test_pools_are_driven_from_here_with_a_worker_each(monkeypatch):
    monkeypatch.setattr(local, "answers", lambda pool: pool != "c:3")
    pools = "--environment_type=EXTERNAL --environment_config=a:1,b:2"
    for runner in ("PortableRunner", "FnApiRunner"):
        choose(monkeypatch, runner, pools)
        assert processes(n_shards=50, source_mb=1) == 2
    choose(monkeypatch, "PortableRunner", f"{pools},c:3")
    with pytest.raises(UserError, match=r"'c:3'; start one there: python -m .*worker_pool_main"):
        runner_options(50, 1, "data/work")


def test_a_portable_runner_needs_pools_or_a_job_service(monkeypatch):
    choose(monkeypatch, "PortableRunner")
    with pytest.raises(UserError, match=r"worker pools .* or a job service"):
        runner_options(5, 90, "data/work")
    choose(monkeypatch, "PortableRunner", "--job_endpoint=host:8099 --environment_type=DOCKER")
    assert runner_options(5, 90, "data/work").view_as(StandardOptions).runner == "PortableRunner"


@pytest.mark.parametrize(
    ("runner", "master"),
    [("FlinkRunner", "--flink_master=host:8081"), ("SparkRunner", "--spark_master_url=spark://host:7077")],
)
def test_a_cluster_needs_to_know_where_its_workers_find_this_project(monkeypatch, runner, master):
    choose(monkeypatch, runner, master)
    with pytest.raises(UserError, match="--environment_type=DOCKER --environment_config=IMAGE"):
        runner_options(5, 90, "s3://bucket/features")
    choose(monkeypatch, runner, f"{master} --environment_type=DOCKER --environment_config=features:1", "12")
    chosen = runner_options(5, 90, "s3://bucket/features")
    assert chosen.view_as(StandardOptions).runner == runner
    assert int(chosen.view_as(PortableOptions).sdk_worker_parallelism) == 0
    assert chosen.view_as(FlinkRunnerOptions).parallelism == (12 if runner == "FlinkRunner" else -1)


def dataflow_options(n_shards=1000):
    return runner_options(n_shards, 90, "gs://bucket/features/abc")


def test_dataflow_gets_a_process_a_core_with_a_thread_and_all_machines_at_once(monkeypatch):
    choose(monkeypatch, "DataflowRunner", CLOUD, "20")
    chosen = dataflow_options()
    workers = chosen.view_as(WorkerOptions)
    assert (workers.num_workers, workers.max_num_workers) == (20, 20)
    assert workers.autoscaling_algorithm == "THROUGHPUT_BASED"
    assert chosen.view_as(DebugOptions).number_of_worker_harness_threads == 1
    assert chosen.view_as(SetupOptions).sdk_location == "container"
    assert chosen.view_as(SetupOptions).save_main_session is False
    cloud = chosen.view_as(GoogleCloudOptions)
    assert cloud.temp_location == "gs://bucket/features/abc/temp"
    few = dataflow_options(n_shards=9).view_as(WorkerOptions)
    assert few.max_num_workers == 3  # of four cores each


def test_a_job_of_the_same_features_has_the_same_name_and_another_has_not(monkeypatch):
    choose(monkeypatch, "DataflowRunner", CLOUD)
    names = [
        runner_options(9, 1, root).view_as(GoogleCloudOptions).job_name for root in ("gs://b/a", "gs://b/a", "gs://b/b")
    ]
    assert names[0] == names[1] != names[2]


def test_what_the_user_says_wins(monkeypatch):
    choose(monkeypatch, "DataflowRunner", f"{CLOUD} --machine_type=n2-highcpu-8 --num_workers=2")
    workers = dataflow_options().view_as(WorkerOptions)
    assert (workers.machine_type, workers.num_workers) == ("n2-highcpu-8", 2)


@pytest.mark.parametrize("missing", ["project", "region", "sdk_container_image"])
def test_dataflow_without_what_it_needs_is_one_line_that_names_it(monkeypatch, missing):
    choose(monkeypatch, "DataflowRunner", " ".join(word for word in CLOUD.split() if missing not in word))
    with pytest.raises(UserError, match=f"BEAM_OPTIONS has no --{missing}=") as refused:
        dataflow_options()
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize("root", ["data/work/abc", "s3://bucket/features", ""])
def test_dataflow_writes_to_a_bucket_of_google(monkeypatch, root):
    choose(monkeypatch, "DataflowRunner", CLOUD)
    with pytest.raises(UserError, match="FEATURES_ROOT=gs://BUCKET"):
        runner_options(5, 90, root)


BUCKET = "gs://bucket/features"


def test_recordings_and_folders_of_this_machine_are_out_of_a_clouds_reach(monkeypatch):
    for runner, flags in (("DataflowRunner", ""), ("SparkRunner", "--environment_type=DOCKER")):
        choose(monkeypatch, runner, flags)
        check_reach(BUCKET, 0, 7)
        with pytest.raises(UserError, match="cannot read the 3 of 7 recordings"):
            check_reach(BUCKET, 3, 7)
        with pytest.raises(UserError, match="cannot write to data/work; set FEATURES_ROOT"):
            check_reach("data/work", 0, 7)
    choose(monkeypatch, "FlinkRunner", "--environment_type=EXTERNAL --environment_config=localhost:50000")
    check_reach("data/work", 3, 7)  # a shared folder may do


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        ("--region='europe", "BEAM_OPTIONS cannot be read: no closing quotation"),
        ("--machine-type=n2-standard-4", "BEAM_OPTIONS: --machine-type is unknown; did you mean --machine_type"),
        ("--max_num_worker=4", "BEAM_OPTIONS: --max_num_worker is unknown; did you mean --max_num_workers"),
    ],
)
def test_a_slip_in_the_flags_is_refused_in_a_line(monkeypatch, flags, line):
    choose(monkeypatch, "FnApiRunner", flags)
    with pytest.raises(UserError, match=re.escape(line)):
        runner_options(5, 90, "data/work")


def test_a_flag_that_is_none_of_beams_may_be_a_job_services(monkeypatch):
    choose(monkeypatch, "FnApiRunner", "--of_another_service=1")
    assert processes(50, 90) == 1


def test_what_runs_here_is_told_from_what_goes_on_without_us(monkeypatch):
    choose(monkeypatch, "FnApiRunner")
    assert runs_here(runner_options(5, 90, "data/work"))
    choose(monkeypatch, "DataflowRunner", CLOUD)
    assert not runs_here(runner_options(5, 90, BUCKET))


def test_flags_win_here_too_but_for_the_runner(monkeypatch):
    choose(monkeypatch, "FnApiRunner", "--runner=DaskRunner --direct_num_workers=5")
    assert processes(50, 90) == 5
