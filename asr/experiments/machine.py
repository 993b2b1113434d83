"""What a run asks of its machine: how busy it is, whether a server listens, and to hear of being ended."""

import signal
import socket
import threading
import urllib.parse
import urllib.request
from types import FrameType
from typing import Any

import psutil

CONNECT_S = 3.0


def system_metrics() -> dict[str, float]:
    """The load under MLflow's names for it; the processor's is the mean since the last call, and 0 in the first."""
    return {
        "system/cpu_utilization_percentage": psutil.cpu_percent(),
        "system/system_memory_usage_megabytes": psutil.virtual_memory().used / 1e6,
        "system/process_memory_megabytes": psutil.Process().memory_info().rss / 1e6,
    }


def probe(uri: str) -> None:
    """Raise `OSError` if nothing listens at an http(s) address: within 3 s, also where the look-up of a name hangs."""
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


def exit_on_sigterm() -> Any:
    """Let SIGTERM raise SystemExit(143), unless somebody handles it already; the handler to put back, or None."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        return None

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    return signal.signal(signal.SIGTERM, leave)
