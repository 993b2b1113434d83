"""Journals -> MLflow, later: what a dead server did not get, and the ends of runs that were killed."""

import sys
from pathlib import Path

from asr.experiments.address import tracking_uri
from asr.experiments.journal import JOURNALS, Journal, left_behind, oldest_first
from asr.experiments.store import Store

REMEDY = "`python -m asr.tracking replay` sends it later"


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
