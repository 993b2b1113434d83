"""The memory that this process takes, as Linux counts it."""

import re
from pathlib import Path


def peak_mb(forget: bool = False) -> float:
    """The most memory of this process since it was last asked to `forget` (Linux's VmHWM; ru_maxrss is inherited)."""
    if forget:
        Path("/proc/self/clear_refs").write_text("5")
    found = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) * 1024 / 1e6
