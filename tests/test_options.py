import pytest
from apache_beam.options.pipeline_options import DirectOptions, StandardOptions, WorkerOptions

from asr.errors import UserError
from pipelines import options
from pipelines.options import runner_options


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in ("BEAM_RUNNER", "BEAM_WORKERS", "BEAM_OPTIONS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(options.os, "sched_getaffinity", lambda pid: set(range(8)))
    monkeypatch.setattr(options, "_exit_with_workers", lambda: None)


def local(n_shards, source_mb):
    direct = runner_options(n_shards, source_mb).view_as(DirectOptions)
    return direct.direct_running_mode, direct.direct_num_workers


def test_a_small_corpus_is_not_worth_a_process_and_a_large_one_takes_every_core():
    assert local(n_shards=5, source_mb=90) == ("in_memory", 1)
    assert local(n_shards=50, source_mb=100_000) == ("multi_processing", 8)


def test_there_are_no_more_workers_than_shards(monkeypatch):
    assert local(n_shards=3, source_mb=100_000) == ("multi_processing", 3)
    monkeypatch.setenv("BEAM_WORKERS", "6")
    assert local(n_shards=2, source_mb=1) == ("multi_processing", 2)


@pytest.mark.parametrize("count", ["zero", "0", "-1", "1.5", ""])
def test_a_worker_count_that_is_none_is_refused_by_name(monkeypatch, count):
    monkeypatch.setenv("BEAM_WORKERS", count)
    with pytest.raises(UserError, match="BEAM_WORKERS"):
        runner_options(5, 90)


def test_another_runner_and_its_flags_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("BEAM_RUNNER", "DataflowRunner")
    monkeypatch.setenv("BEAM_OPTIONS", "--num_workers=7 --region=europe-west1")
    chosen = runner_options(5, 90)
    assert chosen.view_as(StandardOptions).runner == "DataflowRunner"
    assert chosen.view_as(WorkerOptions).num_workers == 7
