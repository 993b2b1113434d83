"""A journal's records -> a run of MLflow, each of them once. Beside `packaging` the only module that imports MLflow."""

import itertools
import json
import logging
import re
from collections.abc import Iterable
from functools import cached_property
from typing import Any

from asr.experiments.address import artifact_root, set_environment, without_credentials
from asr.experiments.journal import Journal, Record
from asr.experiments.probe import database, probe
from asr.progress import say
from asr.secrets import printable

PACKAGED = "packaged"  # a logged model's tag: whether it has files of its own
_NOTE, _OUR_NOTE = "mlflow.note.content", "mlflow.note.generated"  # a run's description, and what was ours of it
# MLflow's pages open an experiment as one of models that are trained, with the score that they are compared by.
_EXPERIMENT_TAGS = {
    "mlflow.experimentKind": "custom_model_development",
    "mlflow.experiment.primaryMetric.name": "wer",
    "mlflow.experiment.primaryMetric.greaterIsBetter": "False",
}
_METRICS_AT_ONCE, _PARAMS_AT_ONCE = 1000, 100  # MLflow's limits for a batch
_REFUSED = re.compile(r"[^\w.\- :]")  # in the name of a param; those of `data.languages` are the corpus' own words
# What urllib3 and SQLAlchemy say at the end of a long line, or before the statement that failed.
_CAUSE = re.compile(r"(?<=Caused by ).+(?=\)$)|(?<=Error\) ).+?(?= \[SQL:|$)")
_DIGEST_LENGTH = 36  # MLflow's limit for a dataset's digest


class Store:
    """A tracking server or database; `address` is its URI without credentials. To send raises what MLflow raises."""

    def __init__(self, uri: str) -> None:
        set_environment()
        self.uri = uri
        self.address = without_credentials(uri)
        self.is_local = uri.startswith(("sqlite:", "file:")) or "://" not in uri

    def load(self) -> None:
        """Import MLflow, which takes seconds."""
        import mlflow  # noqa: F401

        logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # it traces what it also raises

    @cached_property
    def client(self) -> Any:
        """MLflow's client, made when it is first needed. Raises what `probe` raises."""
        probe(self.uri)
        path = database(self.uri)
        if path is not None and not path.exists():
            say(f"creating the experiments' database {path.name}")
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
        said = " ".join(str(error).split()).replace(self.uri, self.address)
        cause = _CAUSE.search(said)
        text = printable(cause[0] if cause else said)
        return f"tracking server {self.address} unreachable ({f'{type(error).__name__}: {text}'[:160]})"

    def _send(self, record: Record, journal: Journal) -> None:
        run_id, parent_id = journal.sent["run_id"], journal.sent["parent_run_id"]
        match record["do"]:
            case "params":
                self._params(record["params"], run_id)
            case "tags":
                self._tags(record["tags"], run_id)
            case "headline":
                self._headline(record, run_id, parent_id)
            case "dataset":
                self._dataset(record, run_id)
            case "artifact":
                path = journal.kept(record)
                if path.is_dir():
                    folder = "/".join(filter(None, (record["folder"], path.name)))
                    self.client.log_artifacts(run_id, str(path), folder)
                else:
                    self.client.log_artifact(run_id, str(path), record["folder"])
            case "model":
                self._model(record, run_id, journal)
            case "resume":
                self.client.update_run(run_id, status="RUNNING")
                if "error" in self.client.get_run(run_id).data.tags:
                    self.client.delete_tag(run_id, "error")
            case "end":
                self.client.set_terminated(run_id, record["status"], record["time_ms"])

    def _params(self, params: dict[str, Any], run_id: str) -> None:
        from mlflow.entities import Param

        for some in _chunks(params.items(), _PARAMS_AT_ONCE):
            self.client.log_batch(run_id, params=[Param(_REFUSED.sub("_", key), str(value)) for key, value in some])

    def _tags(self, tags: dict[str, str], run_id: str) -> None:
        from mlflow.entities import RunTag

        self.client.log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])

    def _metrics(self, records: Iterable[Record], run_id: str, **linked: Any) -> None:
        from mlflow.entities import Metric

        metrics = [
            Metric(key, value, record["time_ms"], record.get("step", 0), **linked)
            for record in records
            for key, value in record["metrics"].items()
        ]
        for some in _chunks(metrics, _METRICS_AT_ONCE):
            self.client.log_batch(run_id, metrics=some)

    def _headline(self, record: Record, run_id: str, parent_id: str | None) -> None:
        """Log numbers to a run and its parent; those of the run belong to the parent's model, and to what it heard."""
        model_id = self.model_of(parent_id) if parent_id else None
        linked: dict[str, Any] = {"model_id": model_id} if model_id else {}
        if linked and (dataset := record.get("dataset")):
            linked |= {"dataset_name": dataset["name"], "dataset_digest": dataset["digest"][:_DIGEST_LENGTH]}
        self._metrics([record], run_id, **linked)
        self._describe(run_id, record.get("note"))
        if parent_id:
            self._metrics([record | {"metrics": record.get("headline", record["metrics"])}], parent_id)
            self._describe(parent_id, record.get("note"))

    def _describe(self, run_id: str, note: str | None) -> None:
        """Describe a run, or describe it anew; what a person wrote stays."""
        tags = self.client.get_run(run_id).data.tags
        if note and tags.get(_NOTE) == tags.get(_OUR_NOTE):
            self._tags({_NOTE: note, _OUR_NOTE: note}, run_id)

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

    def _model(self, record: Record, run_id: str, journal: Journal) -> None:
        """Make the logged model that metrics are linked to, with files if the record has any."""
        from mlflow.entities import LoggedModelOutput

        if self.model_of(run_id):
            return
        experiment_id = self.client.get_run(run_id).info.experiment_id
        tags = {PACKAGED: str("kept" in record).lower()}
        made = self.client.create_logged_model(experiment_id, record["name"], run_id, tags, model_type="transformers")
        if "kept" in record:
            self.client.log_model_artifacts(made.model_id, str(journal.kept(record)))
        self.client.finalize_logged_model(made.model_id, "READY")
        self.client.log_outputs(run_id, [LoggedModelOutput(made.model_id, step=0)])

    def model_of(self, run_id: str) -> str | None:
        """The id of the model that a run has made; None: it has made none."""
        outputs = self.client.get_run(run_id).outputs
        models = outputs.model_outputs if outputs else []
        return models[-1].model_id if models else None

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
        return self.client.create_experiment(name, artifact_location=location, tags=_EXPERIMENT_TAGS)

    def find_run(self, run: Record) -> str | None:
        """The id of the run that a `Run.to_json()` speaks of, by id or by journal; None: it is not here."""
        if run["run_id"] and self._is_active(run["run_id"]):
            return run["run_id"]
        experiment = self.client.get_experiment_by_name(run["experiment"])
        return self._find(experiment.experiment_id, run["journal"]) if experiment else None

    def _parent(self, parent: Record, experiment_id: str) -> str:
        """The id of the parent, or of a run that stands in for it."""
        if found := self.find_run(parent) or self._find(experiment_id, parent["journal"]):
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


def _chunks(items: Iterable[Any], size: int) -> Iterable[list[Any]]:
    iterator = iter(items)
    while some := list(itertools.islice(iterator, size)):
        yield some
