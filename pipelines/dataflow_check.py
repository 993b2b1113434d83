"""Tokenizer and mel settings -> whether Dataflow would get the expected job, and its graph gives the same bytes.

`python -m pipelines.dataflow_check` builds the job as for submission, without network or account, compares it with
GOLDEN (`--update` rewrites that), runs the very graph on this machine, and compares its shards with a plain run's.
"""

import difflib
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import soundfile
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions
from apache_beam.portability import python_urns
from apache_beam.portability.api import beam_runner_api_pb2 as api
from apache_beam.runners.dataflow.internal import apiclient
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from apache_beam.runners.runner import PipelineState

from asr import params
from asr.clips.plan import PlannedShard, write_plan
from asr.corpora import manifest
from asr.features import RATE_HZ
from asr.shards import sha256_of
from asr.storage import join
from asr.utterances import SPLITS, Utterance
from pipelines import dataflow
from pipelines.shard_job import Job, build

GOLDEN = Path(__file__).parent.parent / "tests/golden/dataflow_job.json"
ROOT = "gs://bucket/features"
FLAGS = [
    "--project=my-project",
    "--region=europe-west1",
    "--sdk_container_image=europe-west1-docker.pkg.dev/my-project/whisper/features:1",
]
N_SHARDS = 1000  # of a corpus that deserves Dataflow
N_CLIPS, SHARD_MB = 12, 0.1


def dry_job(job: Job, missing: list[PlannedShard]) -> apiclient.Job:
    """What would be submitted; `.proto_pipeline` is its graph."""
    flags = [*FLAGS, "--dry_run=True", "--no_auth"]
    pipeline = beam.Pipeline(options=dataflow.options(N_SHARDS, ROOT, None, flags))
    build(pipeline, job, missing)
    submitted: Any = pipeline.run()
    return submitted.job


def described(job: apiclient.Job) -> dict[str, Any]:
    """The request as Dataflow would get it and the steps, without what differs at each call: ids, times, pickles."""
    cloud = job.options.view_as(GoogleCloudOptions)
    job.proto.environment = apiclient.Environment(
        packages=[],
        options=job.options,
        environment_version=apiclient._FNAPI_ENVIRONMENT_MAJOR_VERSION,
        proto_pipeline_staged_url=join(cloud.staging_location, "pipeline.pb"),
        proto_pipeline=job.proto_pipeline,
    ).proto
    unique = cloud.staging_location.rsplit("/", 1)[1]
    content = json.loads(job.json().replace(unique, "JOB"))
    del content["clientRequestId"]
    chosen = content["environment"]["sdkPipelineOptions"]
    del chosen["display_data"]  # the same once more
    set_here = job.options.get_all_options(drop_default=True).keys() - {"beam_plugins", "dry_run", "no_auth"}
    chosen["options"] = {name: value for name, value in chosen["options"].items() if name in set_here}
    return {"job": content, "steps": [_step(job.proto_pipeline, name) for name in _in_order(job.proto_pipeline)]}


def _in_order(graph: api.Pipeline) -> list[str]:
    """Ids of the transforms that do something, as the graph runs: not those that only hold others."""
    ordered, waiting = [], list(graph.root_transform_ids)[::-1]
    while waiting:
        name = waiting.pop()
        inner = list(graph.components.transforms[name].subtransforms)
        waiting += inner[::-1]
        if not inner:
            ordered.append(name)
    return ordered


def _step(graph: api.Pipeline, name: str) -> dict[str, Any]:
    transform = graph.components.transforms[name]
    step = {"name": transform.unique_name, "urn": transform.spec.urn}
    if transform.environment_id:
        payload = graph.components.environments[transform.environment_id].payload
        step["image"] = api.DockerPayload.FromString(payload).container_image
    return step


def run_here(graph: api.Pipeline) -> None:
    """Runs the graph in this process: the containers in which its steps would run are swapped for it."""
    here = api.Pipeline.FromString(graph.SerializeToString())
    for environment in here.components.environments.values():
        environment.urn, environment.payload = python_urns.EMBEDDED_PYTHON, b""
        del environment.dependencies[:]
    state = FnApiRunner().run_via_runner_api(here, PipelineOptions([])).wait_until_finish()
    if state != PipelineState.DONE:
        raise RuntimeError(f"the graph ended as {state}")


def small_corpus(folder: Path) -> tuple[Path, list[PlannedShard]]:
    """Clips of noise in `folder`, and the plan for them: its file and its shards."""
    rows = []
    for n in range(N_CLIPS):
        path = folder / f"{n}.wav"
        samples = np.random.default_rng(n).uniform(-0.3, 0.3, RATE_HZ + 1000 * n)
        soundfile.write(path, samples, RATE_HZ)
        rows.append(
            Utterance(f"noise-{n}", str(path), f"Noise {n}.", "en", SPLITS[n % 3], source_bytes=path.stat().st_size)
        )
    manifest.write(rows, folder / "manifest")
    return folder / "plan.parquet", write_plan(folder / "plan.parquet", folder / "manifest", SHARD_MB)


def shard_hashes(home: Path) -> dict[str, str]:
    return {str(path.relative_to(home)): sha256_of(path) for path in sorted(home.glob("*/*.parquet"))}


def difference(found: dict[str, Any], golden: Path = GOLDEN) -> str:
    """Lines as of `diff -u`; empty where the job is the expected one."""
    expected = golden.read_text(encoding="utf-8") if golden.exists() else ""
    lines = (expected.splitlines(True), text_of(found).splitlines(True))
    return "".join(difflib.unified_diff(*lines, fromfile="expected", tofile="built"))


def text_of(found: dict[str, Any]) -> str:
    return json.dumps(found, indent=1, sort_keys=True) + "\n"


def main(base: str, update: bool) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder, rules = Path(name), params.check({})
        plan, planned = small_corpus(folder)
        jobs = {
            way: Job(str(plan), str(folder / way), base, rules.audio, rules.text, rules.features)
            for way in ("dataflow", "plain")
        }
        submitted = dry_job(jobs["dataflow"], planned)
        found = described(submitted)
        if update:
            GOLDEN.parent.mkdir(exist_ok=True)
            GOLDEN.write_text(text_of(found), encoding="utf-8")
        if changed := difference(found):
            sys.exit(f"{changed}error: the job is not that of {GOLDEN}; where that is wanted: --update")
        print(f"the job for Dataflow is that of {GOLDEN.name}: {len(found['steps'])} steps")

        run_here(submitted.proto_pipeline)
        with beam.Pipeline(runner=FnApiRunner(), options=PipelineOptions([])) as pipeline:
            build(pipeline, jobs["plain"], planned)
        hashes = {way: shard_hashes(folder / way) for way in jobs}
        for shard, digest in hashes["plain"].items():
            same = "the same" if hashes["dataflow"].get(shard) == digest else "DIFFERENT"
            print(f"{shard}  sha256 {digest[:16]}  {same} from Dataflow's graph")
        if hashes["dataflow"] != hashes["plain"] or len(hashes["plain"]) != len(planned):
            sys.exit("error: Dataflow's graph gives other shards than a plain run")


if __name__ == "__main__":
    words = [word for word in sys.argv[1:] if word != "--update"]
    main(words[0] if words else "data/base", "--update" in sys.argv)
