"""What a stage logs -> a JSONL journal, and then MLflow: a dead server delays an experiment's record, never loses it.

A run is a file `<journal>/<id>.jsonl`, a line for each call, flushed before anything is sent; `<id>.files/` holds the
artifacts until they are sent, `<id>.sent` how many lines MLflow has. The first call that fails ends the sending for
this run; `python -m asr.tracking replay` sends what is missing, once. `python -m asr.tracking ui` opens MLflow's pages.

This is the only module that imports MLflow, and only inside functions: that takes seconds. What to log to comes from
MLFLOW_TRACKING_URI (else `mlflow.db` in the project's folder) and MLFLOW_EXPERIMENT_NAME.
"""

import argparse
import fcntl
import getpass
import itertools
import json
import os
import shutil
import signal
import socket
import sys
import threading
import time
import urllib.parse
import urllib.request
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

import psutil

from asr.errors import UserError
from asr.provenance import git_commit

JOURNAL = Path("data/journal")
EXPERIMENT = "whisper-fine-tuning"

# A server that hangs costs (1 + retries) * timeout = 8 s once, and then nothing; MLflow's own defaults block 4 minutes.
_ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "4",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # 0.5 GB instead of 2.4 GB for the pages
}
_CONNECT_S = 3.0
_FLUSH_EVERY_S = 2.0  # metrics wait so long for company, so that a fast training is not slowed by each
_SLOW_S, _SLOW_TOTAL_S = 1.0, 8.0  # batches of metrics that take longer than the first count towards the second
_SYSTEM_EVERY_S = 10.0
_METRICS_AT_ONCE, _PARAMS_AT_ONCE = 1000, 100  # MLflow's limits for a batch
_DIGEST_LENGTH = 36  # MLflow's limit for a dataset's digest

_REMEDY = "`python -m asr.tracking replay` sends it later"

Record = dict[str, Any]


class Run:
    """A run of MLflow, open inside `with`: FINISHED after it, FAILED if an exception left it, KILLED by a signal.

    `name` is what MLflow shows; `parent` the content of another run's `to_json()`, whose child this one becomes. If
    the server has no such run (any more), a run that stands in for it is made. `journal` is the journals' folder.
    """

    def __init__(self, name: str, parent: Mapping[str, Any] | None = None, journal: str | Path = JOURNAL) -> None:
        self.name = name
        self.experiment = os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
        self._parent = dict(parent) if parent else None
        self._journal = _Journal(Path(journal) / f"{uuid.uuid4().hex}.jsonl")
        self._store: _Store | None = None
        self._offline = False
        self._pending: list[Record] = []
        self._flushed_s = self._sampled_s = time.monotonic()
        self._slow_s = 0.0

    def __enter__(self) -> Self:
        self._journal.open()
        self._old_handler = _exit_on_sigterm()
        psutil.cpu_percent()  # its first answer is empty: it measures from one call to the next
        tags = {
            "mlflow.user": getpass.getuser(),
            "mlflow.source.name": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
            "mlflow.source.type": "LOCAL",
            **({"mlflow.source.git.commit": commit} if (commit := git_commit()) else {}),
        }
        self._record("start", name=self.name, experiment=self.experiment, parent=self._parent, tags=tags)
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        status = _status(error)
        if status == "FAILED":
            self.set_tags({"error": f"{type(error).__name__}: {error}"})
        self._record("end", status=status)
        self._journal.close()
        if self._old_handler is not None:
            signal.signal(signal.SIGTERM, self._old_handler)

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log params, nested ones by their dotted names: `train.learning_rate`."""
        self._record("params", params=dict(_flat(params)))

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Log numbers of one step; with them, every 10 s, the machine's load under MLflow's names for it."""
        values = {key: float(value) for key, value in metrics.items()}
        if time.monotonic() - self._sampled_s >= _SYSTEM_EVERY_S:
            self._sampled_s = time.monotonic()
            values |= _system_metrics()
        self._record("metrics", metrics=values, step=step)

    def log_headline(self, metrics: Mapping[str, float]) -> None:
        """Log numbers here and copy them to the parent, so that one row of MLflow's table tells the story."""
        self.log_metrics(metrics)
        if self._parent:
            self._record("headline", metrics={key: float(value) for key, value in metrics.items()})

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        self._record("tags", tags={key: str(value) for key, value in tags.items()})

    def log_dataset(self, name: str, digest: str, n_rows: int, context: str = "training", source: str = "") -> None:
        """Log what the run reads: `digest` as DVC knows it, `context` such as training or evaluation."""
        self._record("dataset", name=name, digest=digest, n_rows=n_rows, context=context, source=source or name)

    def log_artifact(self, path: str | Path, folder: str | None = None) -> None:
        """Log a file, or all files of a directory under its name, into `folder` of the run's artifacts."""
        path = Path(path)
        if not path.exists():
            raise UserError(f"{path}: no such file or directory, so it cannot be logged as an artifact")
        self._record("artifact", kept=self._journal.keep(path), folder=folder)

    def to_json(self) -> Record:
        """What a later stage needs to make a child of this run, as `parent`. Holds no credentials."""
        return {
            "run_id": self._journal.sent.get("run_id"),
            "name": self.name,
            "experiment": self.experiment,
            "tracking_uri": without_credentials(tracking_uri()),
            "journal": self._journal.name,
        }

    def _record(self, do: str, **fields: Any) -> None:
        record = {"do": do, "time_ms": int(time.time() * 1000), **fields}
        self._journal.append(record)
        self._pending.append(record)
        if do != "metrics" or time.monotonic() - self._flushed_s >= _FLUSH_EVERY_S:
            self._flush()

    def _flush(self) -> None:
        """Send what waits; the first failure is told in one line, and then only the journal goes on."""
        if self._offline:
            return
        started_s = time.monotonic()
        try:
            self._store = self._store or _Store(tracking_uri())
            self._store.send(self._pending, self._journal)
            took_s = time.monotonic() - started_s
            if took_s > _SLOW_S and all(record["do"] == "metrics" for record in self._pending):
                self._slow_s += took_s
            if self._slow_s > _SLOW_TOTAL_S:
                raise TimeoutError("answers too slowly")
        except Exception as error:  # whatever MLflow or its server does, the training is worth more
            self._offline = True
            print(f"{_unreachable(error)}: all is kept in {self._journal.path}; {_REMEDY}", file=sys.stderr)
        self._pending = []
        self._flushed_s = time.monotonic()


class _Journal:
    """A run's JSONL, the artifacts that wait, and the note of what was sent. Locked while a process writes it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.stem
        self._n_kept = 0
        self.sent: Record = {}  # tracking_uri, run_id, parent_run_id, n_records
        if self._sent_path.exists():
            self.sent = json.loads(self._sent_path.read_text())

    @property
    def _sent_path(self) -> Path:
        return self.path.with_suffix(".sent")

    @property
    def _files(self) -> Path:
        return self.path.with_suffix(".files")

    def open(self) -> bool:
        """Lock the journal for this process; False if another one writes it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self.path.open("a", encoding="utf-8")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            return False
        return True

    def close(self) -> None:
        self._file.close()

    def append(self, record: Record) -> None:
        self._file.write(json.dumps(record, ensure_ascii=False) + "\n")
        self._file.flush()

    def keep(self, path: Path) -> str:
        """A hard link (else a copy) of a file or directory that outlives the original, relative to the journals."""
        self._n_kept += 1
        target = self._files / str(self._n_kept) / path.name
        target.parent.mkdir(parents=True)
        if path.is_dir():
            shutil.copytree(path.resolve(), target, copy_function=_link)
        else:
            _link(path, target)
        return str(target.relative_to(self.path.parent))

    def kept(self, record: Record) -> Path:
        return self.path.parent / record["kept"]

    def acknowledge(self, records: Iterable[Record], **changes: Any) -> None:
        """Note that MLflow has these; in one step, so that a kill leaves the old note or the new one."""
        records = list(records)
        self.sent |= {"n_records": self.sent.get("n_records", 0) + len(records), **changes}
        beside = self.path.with_suffix(".sent.new")
        beside.write_text(json.dumps(self.sent))
        beside.replace(self._sent_path)
        for record in records:
            if record["do"] == "artifact":
                shutil.rmtree(self.kept(record).parent)
            if record["do"] == "end":
                shutil.rmtree(self._files, ignore_errors=True)


class _Store:
    """A tracking server or database. Everything raises what MLflow raises."""

    def __init__(self, uri: str) -> None:
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        _probe(uri)
        from mlflow import MlflowClient

        self.uri = uri
        self.client = MlflowClient(uri)

    def send(self, records: list[Record], journal: _Journal) -> None:
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

    def _send(self, record: Record, journal: _Journal) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag, Param, RunTag

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
                dataset = Dataset(
                    record["name"],
                    record["digest"][:_DIGEST_LENGTH],
                    source_type="local",
                    source=json.dumps({"uri": record["source"], "digest": record["digest"]}),
                    profile=json.dumps({"num_rows": record["n_rows"]}),
                )
                self.client.log_inputs(
                    run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", record["context"])])]
                )
            case "artifact":
                path = journal.kept(record)
                if path.is_dir():
                    folder = "/".join(filter(None, (record["folder"], path.name)))
                    self.client.log_artifacts(run_id, str(path), folder)
                else:
                    self.client.log_artifact(run_id, str(path), record["folder"])
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

    def _start(self, record: Record, journal: _Journal) -> Record:
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
        return {"tracking_uri": without_credentials(self.uri), "run_id": run_id, "parent_run_id": parent_id}

    def _experiment(self, name: str) -> str:
        if found := self.client.get_experiment_by_name(name):
            return found.experiment_id
        # A server chooses the place itself; a database's default would depend on the working directory.
        location = None if self.uri.startswith("http") else artifact_root()
        return self.client.create_experiment(name, artifact_location=location)

    def _parent(self, parent: Record, experiment_id: str) -> str:
        """The id of the parent: as noted, or replayed from its journal, or of a run that stands in for it."""
        from mlflow.exceptions import MlflowException

        try:
            if parent["run_id"] and self.client.get_run(parent["run_id"]).info.lifecycle_stage == "active":
                return parent["run_id"]
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
        if found := self._find(experiment_id, parent["journal"]):
            return found
        tags = {"journal": parent["journal"], "stands_in_for": parent["run_id"] or "a run that was never sent"}
        stand_in = self.client.create_run(experiment_id, tags=tags, run_name=parent["name"])
        self.client.set_terminated(stand_in.info.run_id)
        return stand_in.info.run_id

    def _find(self, experiment_id: str, journal: str) -> str | None:
        runs = self.client.search_runs([experiment_id], f"tags.journal = '{journal}'", max_results=1)
        return runs[0].info.run_id if runs else None


def replay(journal: str | Path = JOURNAL) -> int:
    """Send what MLflow lacks of every journal in the folder, oldest run first; returns the number of records sent.

    A journal that a process still writes is left for later. One without an end is of a killed process: the run is
    ended as KILLED, at the time of its last record. A journal begun on another server starts anew on this one.
    """
    started = [(records[0]["time_ms"], path) for path in Path(journal).glob("*.jsonl") if (records := _read(path))]
    store: _Store | None = None
    n_sent = 0
    for _, path in sorted(started):
        one = _Journal(path)
        if not one.open():
            print(f"{path}: still being written, so left for later", file=sys.stderr)
            continue
        try:
            missing = _missing(one)
            if missing:
                store = store or _Store(tracking_uri())
                store.send(missing, one)
                n_sent += len(missing)
        finally:
            one.close()
    return n_sent


def _missing(journal: "_Journal") -> list[Record]:
    """The records that MLflow lacks, after an end was put to a run that has none; all of them on another server."""
    records = _read(journal.path)
    if records[-1]["do"] != "end":
        journal.append({"do": "end", "time_ms": records[-1]["time_ms"], "status": "KILLED"})
        records = _read(journal.path)
    n_sent = journal.sent.get("n_records", 0)
    if n_sent < len(records) and journal.sent.get("tracking_uri") != without_credentials(tracking_uri()):
        journal.sent, n_sent = {}, 0
    return records[n_sent:]


def _read(path: Path) -> list[Record]:
    """Every whole line of a journal; the last one of a process that was killed while it wrote is left out."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]


def tracking_uri() -> str:
    """MLFLOW_TRACKING_URI, else a SQLite database in the project's folder (absolute: it must not move with `cd`)."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{Path.cwd() / 'mlflow.db'}"


def artifact_root() -> str:
    return (Path.cwd() / "mlartifacts").as_uri()


def without_credentials(uri: str) -> str:
    """`uri` without its user and password."""
    parts = urllib.parse.urlsplit(uri)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl() if "@" in parts.netloc else uri


def _link(source: str | Path, target: str | Path) -> None:
    source = Path(source).resolve()  # DVC may have linked an out to its cache
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _probe(uri: str) -> None:
    """Raise if nothing listens at an http(s) address: much sooner than MLflow, and also where a name hangs."""
    address = urllib.parse.urlsplit(uri)
    host = address.hostname
    if address.scheme not in ("http", "https") or host is None:
        return
    if address.scheme in urllib.request.getproxies() and not urllib.request.proxy_bypass(host):
        return  # what is behind a proxy cannot be probed
    port = address.port or (443 if address.scheme == "https" else 80)
    outcome: list[OSError | None] = []

    def connect() -> None:
        try:
            socket.create_connection((host, port), timeout=_CONNECT_S).close()
            outcome.append(None)
        except OSError as error:
            outcome.append(error)

    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(_CONNECT_S)
    if not outcome:
        raise TimeoutError(f"no connection within {_CONNECT_S:g} s")
    if outcome[0] is not None:
        raise outcome[0]


def _exit_on_sigterm() -> Any:
    """Let SIGTERM raise SystemExit, unless somebody handles it already; the handler to put back, or None."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        return None

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    return signal.signal(signal.SIGTERM, leave)


def _status(error: BaseException | None) -> str:
    """MLflow's word for how a run was left. 130 and 143 are the shell's codes for SIGINT and SIGTERM."""
    if isinstance(error, KeyboardInterrupt) or (isinstance(error, SystemExit) and error.code in (130, 143)):
        return "KILLED"
    left_well = error is None or (isinstance(error, SystemExit) and error.code in (None, 0))
    return "FINISHED" if left_well else "FAILED"


def _system_metrics() -> dict[str, float]:
    return {
        "system/cpu_utilization_percentage": psutil.cpu_percent(),
        "system/system_memory_usage_megabytes": psutil.virtual_memory().used / 1e6,
        "system/process_memory_megabytes": psutil.Process().memory_info().rss / 1e6,
    }


def _flat(params: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in params.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _chunks(items: Iterable[Any], size: int) -> Iterable[list[Any]]:
    iterator = iter(items)
    while some := list(itertools.islice(iterator, size)):
        yield some


def _unreachable(error: BaseException) -> str:
    uri = without_credentials(tracking_uri())
    text = " ".join(str(error).split()).replace(tracking_uri(), uri)
    return f"tracking server {uri} unreachable ({f'{type(error).__name__}: {text}'[:160]})"


def _open_ui() -> None:
    """Become MLflow's server on the default store, for this machine only."""
    uri, port = tracking_uri(), os.environ.get("MLFLOW_PORT", "5000")
    if uri.startswith("http"):
        print(f"The experiments are at {without_credentials(uri)}")
        return
    os.environ.update({key: value for key, value in _ENVIRONMENT.items() if key not in os.environ})
    print(f"MLflow at http://127.0.0.1:{port} (Ctrl-C ends it)", flush=True)
    where = ["--backend-store-uri", uri, "--default-artifact-root", artifact_root(), "--no-serve-artifacts"]
    listening = ["--host", "127.0.0.1", "--port", port, "--workers", "1"]
    os.execv(sys.executable, [sys.executable, "-m", "mlflow", "server", *where, *listening])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m asr.tracking", description="Experiments in MLflow")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("ui", help="open MLflow's pages on the project's own store (MLFLOW_PORT, default 5000)")
    replaying = commands.add_parser("replay", help="send what a dead server did not get")
    replaying.add_argument("--journal", type=Path, default=JOURNAL, help=f"the journals' folder (default {JOURNAL})")
    arguments = parser.parse_args()
    if arguments.command == "ui":
        _open_ui()
        return
    try:
        print(f"{replay(arguments.journal)} records sent to {without_credentials(tracking_uri())}")
    except Exception as error:  # of MLflow or its server
        sys.exit(f"{_unreachable(error)}: nothing is lost; {_REMEDY}")


if __name__ == "__main__":
    main()
