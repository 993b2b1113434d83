"""What a run asks of its machine: how busy it is, and to hear of being ended."""

import signal
import threading
from types import FrameType
from typing import Any

import psutil


def system_metrics() -> dict[str, float]:
    """The load under MLflow's names for it; the processor's is the mean since the last call, and 0 in the first."""
    return {
        "system/cpu_utilization_percentage": psutil.cpu_percent(),
        "system/system_memory_usage_megabytes": psutil.virtual_memory().used / 1e6,
        "system/process_memory_megabytes": psutil.Process().memory_info().rss / 1e6,
    }


def exit_on_sigterm() -> Any:
    """Let SIGTERM raise SystemExit(143), unless somebody handles it already; the handler to put back, or None."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        return None

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    return signal.signal(signal.SIGTERM, leave)
