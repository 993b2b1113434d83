"""What a stage logs -> a run: its journal, and at once MLflow, as long as that answers.

What a server does not take is in the journal, and `python -m asr.tracking replay` sends it later. So a dead server
delays an experiment's record, and never loses it.
"""

import getpass
import json
import os
import signal
import sys
import tempfile
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from asr.errors import UserError
from asr.experiments import shown
from asr.experiments.address import tracking_uri
from asr.experiments.journal import JOURNALS, History, Journal, Record, curve
from asr.experiments.machine import exit_on_sigterm, system_metrics
from asr.experiments.packaging import package
from asr.experiments.provenance import git_commit
from asr.experiments.sender import Sender
from asr.experiments.store import Store
from asr.secrets import printable

EXPERIMENT = "whisper-fine-tuning"

_SYSTEM_EVERY_S = 10.0
_WAIT_S = 30.0  # for a process that was told to end and still saves, or whose forks see only now that it is gone


class Run:
    """A run of MLflow, open inside `with`: FINISHED after it, FAILED if an exception left it, KILLED by a signal.

    `name` is what MLflow shows, followed by the experiment's in `dvc exp run`; `parent` the content of another run's
    `to_json()`, whose child this one becomes. If the server has no such run (any more), a run that stands in for it is
    made. `journal` is the journals' folder. MLFLOW_EXPERIMENT_NAME says which experiment of MLflow it belongs to.

    `continues` is the content of an unfinished run's `to_json()`: its journal goes on, and so does its run in MLflow,
    or one made anew if that was deleted. What it has logged already is not logged twice: metrics of the same steps,
    params, datasets. If its journal is gone, this is a new run.
    """

    def __init__(
        self,
        name: str,
        parent: Mapping[str, Any] | None = None,
        journal: str | Path = JOURNALS,
        continues: Mapping[str, Any] | None = None,
    ) -> None:
        self.name = f"{name} {experiment}" if (experiment := os.environ.get("DVC_EXP_NAME")) else name
        self.experiment = os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
        self._parent = dict(parent) if parent else None
        self._journal = Journal(Path(journal) / f"{uuid.uuid4().hex}.jsonl")
        self._history = History()
        self._continues = False
        if continues and (earlier := Journal(Path(journal) / f"{continues['journal']}.jsonl")).has_begun():
            self._journal, self._continues = earlier, True
        self._store = Store(tracking_uri())
        self._sender = Sender(self._store, self._journal)
        self._sampled_s = time.monotonic()
        self._dataset: Record | None = None

    def __enter__(self) -> Self:
        self._open_journal()
        self._old_handler = exit_on_sigterm()
        system_metrics()  # from here on the processor's load is measured
        if self._continues:
            self._resume()
        else:
            self._journal.append(
                self._stamped("start", name=self.name, experiment=self.experiment, parent=self._parent, tags=_tags())
            )
        self._sender.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        status = _status(error)
        if status == "FAILED":
            self.set_tags({"error": printable(f"{type(error).__name__}: {error}")})
        self._record("end", status=status)
        self._sender.stop()
        self._journal.close()
        if self._old_handler is not None:
            signal.signal(signal.SIGTERM, self._old_handler)

    def _open_journal(self) -> None:
        """Wait for who else has it: a process that ends, or one that sends what it left."""
        until_s = time.monotonic() + _WAIT_S
        while not self._journal.open():
            if time.monotonic() > until_s:
                raise UserError(f"{self._journal.path}: another process still goes on with this run; wait for its end")
            time.sleep(0.2)

    def _resume(self) -> None:
        """Go on with the run as it was left."""
        records = self._journal.records()
        self.name, self.experiment, self._parent = (records[0][key] for key in ("name", "experiment", "parent"))
        self._history = History(records)
        self._journal.resume(int(time.time() * 1000))

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log params, nested ones by their dotted names: `train.learning_rate`."""
        new = {key: value for key, value in _flat(params) if key not in self._history.params}
        if new:
            self._record("params", params=new)

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Log numbers of one step; with them, every 10 s, the machine's load."""
        values = self._history.new_metrics({key: float(value) for key, value in metrics.items()}, step)
        if time.monotonic() - self._sampled_s >= _SYSTEM_EVERY_S:
            self._sampled_s = time.monotonic()
            values |= system_metrics()
        if values:
            self._record("metrics", metrics=values, step=step)

    def curve(self) -> list[dict[str, float]]:
        """All metrics that were logged, those of continued processes too: `step` and values, in the order of steps."""
        return curve(self._journal.records())

    def log_headline(self, metrics: Mapping[str, float]) -> None:
        """Log scores here, and those of `shown.headline` with the parent too, whose row so tells the story.

        They are linked to the model that the parent logged, and to the dataset that this run logged last. Both runs are
        described by a small table, unless a person has described the parent.
        """
        self._record(
            "headline",
            metrics=shown.scores(metrics),
            headline=shown.headline(metrics),
            note=shown.note(metrics),
            dataset=self._dataset,
        )

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        self._record("tags", tags={key: str(value) for key, value in tags.items()})

    def log_dataset(self, name: str, digest: str, n_rows: int, context: str = "training", source: str = "") -> None:
        """Log what the run reads: `digest` as DVC knows it, `context` such as training or evaluation."""
        if (name, context) in self._history.datasets:
            return
        self._dataset = {"name": name, "digest": digest}
        self._record("dataset", **self._dataset, n_rows=n_rows, context=context, source=source or name)

    def log_artifact(self, path: str | Path, folder: str | None = None) -> None:
        """Log a file, or all files of a directory under its name, into `folder` of the run's artifacts."""
        path = Path(path)
        if not path.exists():
            raise UserError(f"{path}: no such file or directory, so it cannot be logged as an artifact")
        self._record("artifact", _size_bytes(path), kept=self._journal.keep(path), folder=folder)

    def log_table(self, name: str, columns: Mapping[str, Sequence[Any]]) -> None:
        """Log columns of equal length as the table `name`.json, which MLflow's pages show among evaluations."""
        rows = list(zip(*columns.values(), strict=True))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"{name}.json"
            path.write_text(json.dumps({"columns": list(columns), "data": rows}, ensure_ascii=False), encoding="utf-8")
            self.log_artifact(path)
        self.set_tags({"mlflow.loggedArtifacts": json.dumps([{"path": path.name, "type": "table"}])})

    def log_model(self, checkpoint: str | Path, name: str = "model") -> None:
        """Log a checkpoint with its processor, and make the model in MLflow that metrics are linked to.

        If LOG_MODEL is 1 in the environment, that model holds the checkpoint as `mlflow.transformers.load_model` and
        `mlflow models serve` read it, with signature and requirements: as many bytes once more.
        """
        self.log_artifact(checkpoint)
        if os.environ.get("LOG_MODEL", "0") in ("", "0"):
            self._record("model", name=name)
            return
        with tempfile.TemporaryDirectory(dir=self._journal.path.parent) as folder:
            package(Path(checkpoint), packaged := Path(folder) / name)
            self._record("model", _size_bytes(packaged), name=name, kept=self._journal.keep(packaged))

    def to_json(self) -> Record:
        """What a later stage needs to make a child of this run, as `parent`. Holds no credentials."""
        return {
            "run_id": self._journal.sent.get("run_id"),
            "name": self.name,
            "experiment": self.experiment,
            "tracking_uri": self._store.address,
            "journal": self._journal.name,
        }

    def _record(self, do: str, size_bytes: int = 0, **fields: Any) -> None:
        record = self._stamped(do, **fields)
        self._journal.append(record)
        self._sender.put(record, size_bytes)

    @staticmethod
    def _stamped(do: str, **fields: Any) -> Record:
        return {"do": do, "time_ms": int(time.time() * 1000), **fields}


def _tags() -> dict[str, str]:
    """Who runs what, under MLflow's names."""
    return {
        "mlflow.user": getpass.getuser(),
        "mlflow.source.name": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "mlflow.source.type": "LOCAL",
        **({"mlflow.source.git.commit": commit} if (commit := git_commit()) else {}),
    }


def _status(error: BaseException | None) -> str:
    """MLflow's word for how a run was left. 130 and 143 are the shell's codes for SIGINT and SIGTERM."""
    if isinstance(error, KeyboardInterrupt) or (isinstance(error, SystemExit) and error.code in (130, 143)):
        return "KILLED"
    left_well = error is None or (isinstance(error, SystemExit) and error.code in (None, 0))
    return "FINISHED" if left_well else "FAILED"


def _flat(params: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in params.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _size_bytes(path: Path) -> int:
    return sum(file.stat().st_size for file in [path, *path.rglob("*")] if file.is_file())
