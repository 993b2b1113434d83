"""Journals -> MLflow: record by record while a run goes on, or later. The only module that imports MLflow.

`python -m asr.tracking replay` sends what a dead server did not get, once; `python -m asr.tracking ui` opens MLflow's
pages. Where to comes from MLFLOW_TRACKING_URI, else it is `mlflow.db` in the project's folder.
"""

import argparse
import itertools
import json
import os
import sys
import urllib.parse
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

from asr.journal import JOURNALS, Journal, Record, left_behind, oldest_first
from asr.machine import probe
from asr.progress import say

REMEDY = "`python -m asr.tracking replay` sends it later"

# A server that hangs costs (1 + retries) * timeout = 8 s once, and then nothing; MLflow's own defaults block 4 minutes.
_ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "4",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # 0.5 GB instead of 2.4 GB for the pages
}
_METRICS_AT_ONCE, _PARAMS_AT_ONCE = 1000, 100  # MLflow's limits for a batch
_DIGEST_LENGTH = 36  # MLflow's limit for a dataset's digest


class Store:
    """A tracking server or database; `address` is its URI without credentials. To send raises what MLflow raises."""

    def __init__(self, uri: str) -> None:
        _set_environment()
        self.uri = uri
        self.address = without_credentials(uri)

    @cached_property
    def client(self) -> Any:
        """MLflow's client, made when it is first needed: to import MLflow takes seconds."""
        probe(self.uri)
        database = Path(self.uri.removeprefix("sqlite:///"))
        if self.uri.startswith("sqlite:///") and not database.exists():
            say(f"creating the experiments' database {database.name}")
        from mlflow import MlflowClient

        return MlflowClient(self.uri)

    def send(self, records: list[Record], journal: Journal) -> None:
        """Send the records in order, neighbouring metrics together, acknowledging as MLflow takes them."""
        for do, same in itertools.groupby(records, key=lambda record: record["do"]):
            if do == "metrics":
                batch = list(same)
                self._metrics(batch, journal.sent["run_id"])
                journal.acknowledge(batch)
                continue
            for record in same:
                if do == "start":
                    journal.acknowledge([record], **self._start(record, journal))
                else:
                    self._send(record, journal)
                    journal.acknowledge([record])

    def lacks(self, run_id: str | None) -> bool:
        """Whether a run that was made there is deleted; False for one that never was made."""
        return run_id is not None and not self._is_active(run_id)

    def unreachable(self, error: BaseException) -> str:
        """What went wrong, in a line."""
        text = " ".join(str(error).split()).replace(self.uri, self.address)
        return f"tracking server {self.address} unreachable ({f'{type(error).__name__}: {text}'[:160]})"

    def _send(self, record: Record, journal: Journal) -> None:
        from mlflow.entities import Param, RunTag

        run_id = journal.sent["run_id"]
        match record["do"]:
            case "params":
                for some in _chunks(record["params"].items(), _PARAMS_AT_ONCE):
                    self.client.log_batch(run_id, params=[Param(key, str(value)) for key, value in some])
            case "tags":
                self.client.log_batch(run_id, tags=[RunTag(key, value) for key, value in record["tags"].items()])
            case "headline":
                if parent_id := journal.sent["parent_run_id"]:
                    self._metrics([record], parent_id)
            case "dataset":
                self._dataset(record, run_id)
            case "artifact":
                path = journal.kept(record)
                if path.is_dir():
                    folder = "/".join(filter(None, (record["folder"], path.name)))
                    self.client.log_artifacts(run_id, str(path), folder)
                else:
                    self.client.log_artifact(run_id, str(path), record["folder"])
            case "resume":
                self.client.update_run(run_id, status="RUNNING")
                if "error" in self.client.get_run(run_id).data.tags:
                    self.client.delete_tag(run_id, "error")
            case "end":
                self.client.set_terminated(run_id, record["status"], record["time_ms"])

    def _metrics(self, records: Iterable[Record], run_id: str) -> None:
        from mlflow.entities import Metric

        metrics = [
            Metric(key, value, record["time_ms"], record.get("step", 0))
            for record in records
            for key, value in record["metrics"].items()
        ]
        for some in _chunks(metrics, _METRICS_AT_ONCE):
            self.client.log_batch(run_id, metrics=some)

    def _dataset(self, record: Record, run_id: str) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        dataset = Dataset(
            record["name"],
            record["digest"][:_DIGEST_LENGTH],
            source_type="local",
            source=json.dumps({"uri": record["source"], "digest": record["digest"]}),
            profile=json.dumps({"num_rows": record["n_rows"]}),
        )
        self.client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", record["context"])])])

    def _start(self, record: Record, journal: Journal) -> Record:
        """Make the run, or find the one that an attempt made before it could note it; returns what to note."""
        experiment_id = self._experiment(record["experiment"])
        parent_id = self._parent(record["parent"], experiment_id) if record["parent"] else None
        tags = record["tags"] | {"journal": journal.name}
        if parent_id:
            tags["mlflow.parentRunId"] = parent_id
        run_id = self._find(experiment_id, journal.name)
        if run_id is None:
            run = self.client.create_run(experiment_id, record["time_ms"], tags, record["name"])
            run_id = run.info.run_id
        return {"tracking_uri": self.address, "run_id": run_id, "parent_run_id": parent_id}

    def _experiment(self, name: str) -> str:
        if found := self.client.get_experiment_by_name(name):
            return found.experiment_id
        # A server chooses the place itself; a database's default would depend on the working directory.
        location = None if self.uri.startswith("http") else artifact_root()
        return self.client.create_experiment(name, artifact_location=location)

    def _parent(self, parent: Record, experiment_id: str) -> str:
        """The id of the parent: as noted, or replayed from its journal, or of a run that stands in for it."""
        if parent["run_id"] and self._is_active(parent["run_id"]):
            return parent["run_id"]
        if found := self._find(experiment_id, parent["journal"]):
            return found
        tags = {"journal": parent["journal"], "stands_in_for": parent["run_id"] or "a run that was never sent"}
        stand_in = self.client.create_run(experiment_id, tags=tags, run_name=parent["name"])
        self.client.set_terminated(stand_in.info.run_id)
        return stand_in.info.run_id

    def _is_active(self, run_id: str) -> bool:
        from mlflow.exceptions import MlflowException

        try:
            return self.client.get_run(run_id).info.lifecycle_stage == "active"
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return False

    def _find(self, experiment_id: str, journal: str) -> str | None:
        runs = self.client.search_runs([experiment_id], f"tags.journal = '{journal}'", max_results=1)
        return runs[0].info.run_id if runs else None


def replay(folder: str | Path = JOURNALS) -> int:
    """Send what MLflow lacks of every journal in the folder, oldest run first; returns the number of records sent.

    A journal that a process still writes is left for later. One without an end is of a killed process: the run is
    ended as KILLED, at the time of its last record. A journal begun on another server starts anew on this one.
    """
    store = Store(tracking_uri())
    n_sent = 0
    for path in oldest_first(Path(folder)):
        with left_behind(path) as journal:
            if journal is None:
                print(f"{path}: still being written, so left for later", file=sys.stderr)
                continue
            missing = journal.missing(store.address)
            store.send(missing, journal)
            n_sent += len(missing)
    return n_sent


def close_killed(store: Store, folder: Path) -> None:
    """End the runs that `store` shows as running although their processes were killed, by their journals."""
    for path in oldest_first(folder):
        if Journal(path).has_ended():
            continue
        with left_behind(path) as journal:
            if journal and journal.sent.get("tracking_uri") == store.address:
                store.send(journal.missing(store.address), journal)


def tracking_uri() -> str:
    """MLFLOW_TRACKING_URI, else a SQLite database in the project's folder (absolute: it must not move with `cd`)."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{Path.cwd() / 'mlflow.db'}"


def artifact_root() -> str:
    return (Path.cwd() / "mlartifacts").as_uri()


def without_credentials(uri: str) -> str:
    """`uri` without its user and password."""
    parts = urllib.parse.urlsplit(uri)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl() if "@" in parts.netloc else uri


def _chunks(items: Iterable[Any], size: int) -> Iterable[list[Any]]:
    iterator = iter(items)
    while some := list(itertools.islice(iterator, size)):
        yield some


def _set_environment() -> None:
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def _open_ui() -> None:
    """Become MLflow's server on the default store, for this machine only."""
    uri, port = tracking_uri(), os.environ.get("MLFLOW_PORT", "5000")
    if uri.startswith("http"):
        print(f"The experiments are at {without_credentials(uri)}")
        return
    _set_environment()
    print(f"MLflow at http://127.0.0.1:{port} (Ctrl-C ends it)", flush=True)
    where = ["--backend-store-uri", uri, "--default-artifact-root", artifact_root(), "--no-serve-artifacts"]
    listening = ["--host", "127.0.0.1", "--port", port, "--workers", "1"]
    os.execv(sys.executable, [sys.executable, "-m", "mlflow", "server", *where, *listening])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m asr.tracking", description="Experiments in MLflow")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("ui", help="open MLflow's pages on the project's own store (MLFLOW_PORT, default 5000)")
    replaying = commands.add_parser("replay", help="send what a dead server did not get")
    replaying.add_argument("--journal", type=Path, default=JOURNALS, help=f"the journals' folder (default {JOURNALS})")
    arguments = parser.parse_args()
    if arguments.command == "ui":
        _open_ui()
        return
    store = Store(tracking_uri())
    try:
        say(f"{replay(arguments.journal)} records sent to {store.address}")
    except Exception as error:  # of MLflow or its server
        sys.exit(f"{store.unreachable(error)}: nothing is lost; {REMEDY}")


if __name__ == "__main__":
    main()
