"""What a run logs -> its journal, a file that outlives processes and servers, and what MLflow has not had of it yet.

A run is `<folder>/<name>.jsonl`, a line for each call, flushed before anything is sent. `<name>.files/` holds the
artifacts until they are sent; `<name>.sent` says how many lines were, to which server, and as which run.
"""

import fcntl
import json
import os
import shutil
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# `do`: start, params, metrics, headline, tags, dataset, artifact, model, end or resume; `time_ms`; and what that needs.
Record = dict[str, Any]

JOURNALS = Path("data/journal")
SYSTEM = "system/"  # how MLflow's names for the machine's load begin


class Journal:
    """The journal at `path`, which ends in .jsonl. A process that writes or sends it has it locked, from open to close.

    `sent` has tracking_uri, run_id, parent_run_id (None: no parent) and n_records; empty until the first is sent.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.stem
        self._files = path.with_suffix(".files")
        self._note = path.with_suffix(".sent")
        self.sent: Record = {}
        self._noting = threading.Lock()
        self._is_sealed = False

    def open(self) -> bool:
        """Lock the journal for this process and read what was sent; False if another one has it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self.path.open("a", encoding="utf-8")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            return False
        if self._note.exists():
            self.sent = json.loads(self._note.read_text())
        return True

    def close(self) -> None:
        self._file.close()

    def append(self, record: Record) -> None:
        self._file.write(json.dumps(record, ensure_ascii=False) + "\n")
        self._file.flush()

    def lines(self) -> list[bytes]:
        """Every whole line; the last one of a process that was killed while it wrote is left out."""
        return self.path.read_bytes().split(b"\n")[:-1]

    def records(self) -> list[Record]:
        return list(map(json.loads, self.lines()))

    def missing(self, tracking_uri: str) -> list[Record]:
        """The records to send to a server: if it is another one than had the first of them, all from the start."""
        records = self.records()
        n_sent = self.sent.get("n_records", 0)
        if n_sent < len(records) and self.sent.get("tracking_uri") != tracking_uri:
            self.sent, n_sent = {}, 0
        return records[n_sent:]

    def has_begun(self) -> bool:
        return self.path.exists() and bool(self.lines())

    def has_ended(self) -> bool:
        return json.loads(self.lines()[-1])["do"] == "end"

    def end_as_killed(self) -> None:
        """Put an end to the run, at the time of its last record."""
        last = self.records()[-1]
        self._cut()
        self.append({"do": "end", "time_ms": last["time_ms"], "status": "KILLED"})

    def resume(self, time_ms: int) -> None:
        """Go on with the run of a process that is gone, ended as it may have been."""
        self._cut()
        self.append({"do": "resume", "time_ms": time_ms})

    def forget_sent(self) -> None:
        """Have all sent once more: what MLflow had is deleted there."""
        self.sent = {}

    def _cut(self) -> None:
        """Drop a line that was begun when its process was killed."""
        os.truncate(self.path, self.path.read_bytes().rfind(b"\n") + 1)

    def keep(self, path: Path) -> str:
        """A hard link (else a copy) of a file or directory that outlives the original, relative to the folder."""
        number = 1 + max((int(kept.name) for kept in self._files.glob("*")), default=0)
        target = self._files / str(number) / path.name
        target.parent.mkdir(parents=True)
        if path.is_dir():
            shutil.copytree(path.resolve(), target, copy_function=_link)
        else:
            _link(path, target)
        return str(target.relative_to(self.path.parent))

    def kept(self, record: Record) -> Path:
        """The file or directory that an artifact's record speaks of."""
        return self.path.parent / record["kept"]

    def acknowledge(self, records: Iterable[Record], **changes: Any) -> None:
        """Note that MLflow has these; in one step, so that a kill leaves the old note or the new one.

        Raises `RuntimeError` once the journal is sealed.
        """
        records = list(records)
        with self._noting:
            if self._is_sealed:
                raise RuntimeError(f"{self.path}: nothing is noted here any more")
            self.sent |= {"n_records": self.sent.get("n_records", 0) + len(records), **changes}
            beside = self.path.with_suffix(".sent.new")
            beside.write_text(json.dumps(self.sent))
            beside.replace(self._note)
            for record in records:
                if record.get("kept"):
                    shutil.rmtree(self.kept(record).parent)
                if record["do"] == "end":
                    shutil.rmtree(self._files, ignore_errors=True)

    def seal(self) -> None:
        """Take no more notes: a call that MLflow answers after all must not disturb who sends this next."""
        with self._noting:
            self._is_sealed = True


class History:
    """What a journal's records say of a run so far; a run that goes on tells none of it twice.

    `params` and `datasets` (name, context) are those logged; `last_steps` has the last step of each metric.
    """

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self.params: set[str] = set()
        self.datasets: set[tuple[str, str]] = set()
        self.last_steps: dict[str, int] = {}
        for record in records:
            match record["do"]:
                case "params":
                    self.params |= {*record["params"]}
                case "dataset":
                    self.datasets.add((record["name"], record["context"]))
                case "metrics":
                    self.last_steps |= dict.fromkeys(record["metrics"], record["step"])

    def new_metrics(self, metrics: dict[str, float], step: int) -> dict[str, float]:
        """Those that have no value of this step or a later one."""
        return {key: value for key, value in metrics.items() if step > self.last_steps.get(key, step - 1)}


def oldest_first(folder: Path) -> list[Path]:
    """The journals in which anything stands, by the start of their runs, so that parents precede their children."""
    firsts = [(lines[0], path) for path in folder.glob("*.jsonl") if (lines := Journal(path).lines())]
    started = [(json.loads(line)["time_ms"], path) for line, path in firsts]
    return [path for _, path in sorted(started)]


@contextmanager
def left_behind(path: Path) -> Iterator[Journal | None]:
    """A journal whose process is gone, locked meanwhile; if that was killed, its run ends here. None: it still runs."""
    journal = Journal(path)
    if not journal.open():
        yield None
        return
    try:
        if not journal.has_ended():
            journal.end_as_killed()
        yield journal
    finally:
        journal.close()


def curve(records: Iterable[Record]) -> list[dict[str, float]]:
    """The metrics of a run in the order of their steps, `step` with each; the machine's load is left out."""
    points = [
        {"step": record["step"]}
        | {key: value for key, value in record["metrics"].items() if not key.startswith(SYSTEM)}
        for record in records
        if record["do"] == "metrics"
    ]
    return sorted((point for point in points if len(point) > 1), key=lambda point: point["step"])


def _link(source: str | Path, target: str | Path) -> None:
    source = Path(source).resolve()  # DVC may have linked an out to its cache
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
