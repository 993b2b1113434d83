"""The job that Dataflow would get, built without network or account, and its graph run on this machine."""

import copy
import re
from dataclasses import replace

import pytest

from asr import params
from pipelines import dataflow_check
from pipelines.dataflow_check import described, difference, dry_job, run_here, shard_hashes, small_corpus
from pipelines.shard_job import Job, ShardFailed


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    return small_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def job(planned, scratch, tmp_path_factory):
    rules = params.check({})
    home = tmp_path_factory.mktemp("dataflow")
    return Job(str(planned[0]), str(home), str(scratch), rules.audio, rules.text, rules.features)


@pytest.fixture(scope="module")
def submitted(job, planned):
    return dry_job(job, planned[1])


def test_the_job_is_the_expected_one_at_each_call(submitted, job, planned):
    found = described(submitted)
    assert difference(found) == ""
    assert described(dry_job(job, planned[1])) == found


def test_a_changed_job_is_shown_line_by_line(submitted):
    changed = copy.deepcopy(described(submitted))
    changed["job"]["environment"]["workerPools"][0]["numThreadsPerWorker"] = 12
    lines = difference(changed).splitlines()
    assert [line for line in lines if re.match(r"[-+] ", line)] == [
        '-     "numThreadsPerWorker": 1,',
        '+     "numThreadsPerWorker": 12,',
    ]


def test_a_process_of_its_own_for_each_core(submitted):
    (pool,) = described(submitted)["job"]["environment"]["workerPools"]
    assert pool["sdkHarnessContainerImages"][0]["useSingleCorePerContainer"] is True
    assert pool["numThreadsPerWorker"] == 1


def test_one_shuffle_of_references_before_all_the_work(submitted, planned):
    steps = described(submitted)["steps"]
    assert [step["name"] for step in steps if step["urn"].endswith("group_by_key:v1")] == [
        "Write shards/Spread/ReshufflePerKey/GroupByKey"
    ]
    assert steps[-1]["name"] == "Write shards/Write"
    audio_bytes = sum(shard.source_bytes for shard in planned[1])
    assert len(submitted.proto_pipeline.SerializeToString()) < audio_bytes / 5


def test_the_graph_itself_gives_the_shards_of_a_plain_run(scratch, capsys):
    dataflow_check.main(str(scratch), update=False)
    said = capsys.readouterr().out
    assert len(re.findall("the same from Dataflow's graph", said)) >= 6
    assert "DIFFERENT" not in said


def test_a_graph_that_fails_is_no_success(job, planned, tmp_path):
    broken = dry_job(replace(job, plan=str(tmp_path / "absent.parquet"), home=str(tmp_path)), planned[1])
    with pytest.raises(ShardFailed, match="No such file"):
        run_here(broken.proto_pipeline)
    assert shard_hashes(tmp_path) == {}


def test_another_job_than_the_golden_one_ends_the_check(scratch, monkeypatch, tmp_path):
    (tmp_path / "job.json").write_text("{}\n")
    monkeypatch.setattr(dataflow_check.difference, "__defaults__", (tmp_path / "job.json",))
    with pytest.raises(SystemExit, match="error: the job is not that of"):
        dataflow_check.main(str(scratch), update=False)
