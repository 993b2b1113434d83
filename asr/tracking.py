"""Journals -> MLflow, later: what a dead server did not get, and the ends of runs that were killed; MLflow's pages.

`python -m asr.tracking replay` sends what is missing, once; `python -m asr.tracking ui` opens the pages. Where to
comes from MLFLOW_TRACKING_URI, else it is `mlflow.db` in the project's folder.
"""

import argparse
import os
import sys
from pathlib import Path

from asr.experiments.journal import JOURNALS, Journal, left_behind, oldest_first
from asr.experiments.store import Store, artifact_root, default_uri, set_environment, without_credentials
from asr.progress import say

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


def tracking_uri() -> str:
    """MLFLOW_TRACKING_URI, else the project's own database."""
    return os.environ.get("MLFLOW_TRACKING_URI") or default_uri()


def _open_ui() -> None:
    """Become MLflow's server on the default store, for this machine only."""
    uri, port = tracking_uri(), os.environ.get("MLFLOW_PORT", "5000")
    if uri.startswith("http"):
        print(f"The experiments are at {without_credentials(uri)}")
        return
    set_environment()
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
