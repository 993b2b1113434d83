"""Two commands: what MLflow has not had of the journals is sent to it, and its pages are opened.

`python -m asr.tracking replay` sends what is missing, once; `python -m asr.tracking ui` opens the pages. Where to
comes from MLFLOW_TRACKING_URI, else it is `mlflow.db` in the project's folder.
"""

import argparse
import os
import sys
from pathlib import Path

from asr.experiments.address import artifact_root, set_environment, tracking_uri, without_credentials
from asr.experiments.journal import JOURNALS
from asr.experiments.replay import REMEDY, replay
from asr.experiments.store import Store
from asr.progress import say


def _open_ui() -> None:
    """Become MLflow's server on the default store, for this machine only."""
    uri, port = tracking_uri(), os.environ.get("MLFLOW_PORT", "5000")
    if uri.startswith("http"):
        print(f"The experiments are at {without_credentials(uri)}")
        return
    set_environment()
    print(f"MLflow at http://127.0.0.1:{port} (Ctrl-C ends it)", flush=True)
    os.environ["MLFLOW_BACKEND_STORE_URI"] = uri  # not an argument: those are in every user's list of processes
    where = ["--default-artifact-root", artifact_root(), "--no-serve-artifacts"]
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
