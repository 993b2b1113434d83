"""The address of experiments -> whether they can be written there, known before MLflow is imported and tries."""

import os
import socket
import sqlite3
import threading
import urllib.parse
import urllib.request
from contextlib import closing
from pathlib import Path

CONNECT_S = 3.0
LOCKED_S = 5.0  # as long as MLflow's own calls wait for whoever else writes
_SQLITE = "sqlite:///"


def probe(uri: str) -> None:
    """Raise `OSError` if nothing listens at an http(s) address: within 3 s, also where the look-up of a name hangs.

    Of a database in a file: `sqlite3.Error` if it cannot be written, because another program has locked it for 5 s, its
    disk is read-only, or it is damaged; `PermissionError` if it cannot be made. MLflow's own tries take 20 s and more.
    """
    address = urllib.parse.urlsplit(uri)
    if address.scheme in ("http", "https") and address.hostname:
        _connect(address, address.hostname)
    elif (path := database(uri)) is not None:
        _lock(path)


def database(uri: str) -> Path | None:
    """The file of a SQLite database; None for what is none."""
    return Path(uri.removeprefix(_SQLITE)) if uri.startswith(_SQLITE) and uri != _SQLITE else None


def _lock(path: Path) -> None:
    if not path.exists():
        folder = next(parent for parent in path.absolute().parents if parent.exists())
        if not os.access(folder, os.W_OK):
            raise PermissionError(f"{folder} cannot be written")
        return
    with closing(sqlite3.connect(path, timeout=LOCKED_S, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")


def _connect(address: urllib.parse.SplitResult, host: str) -> None:
    if address.scheme in urllib.request.getproxies() and not urllib.request.proxy_bypass(host):
        return  # what is behind a proxy cannot be probed
    port = address.port or (443 if address.scheme == "https" else 80)
    outcome: list[OSError | None] = []

    def connect() -> None:
        try:
            socket.create_connection((host, port), timeout=CONNECT_S).close()
            outcome.append(None)
        except OSError as error:
            outcome.append(error)

    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(CONNECT_S)
    if not outcome:
        raise TimeoutError(f"no connection within {CONNECT_S:g} s")
    if outcome[0] is not None:
        raise outcome[0]
