"""Batches -> how many clips they held, and the seconds that making them took."""

import resource
import time
from collections.abc import Iterable

BATCH_SIZE = 16


def timed(clips_of_batches: Iterable[int]) -> dict[str, float]:
    """CPU seconds are those of this process and of the workers that it started and that have ended."""
    wall_s, cpu_s = time.perf_counter(), _cpu_s()
    n_clips = sum(clips_of_batches)
    return {"clips": n_clips, "wall_s": time.perf_counter() - wall_s, "cpu_s": _cpu_s() - cpu_s}


def _cpu_s() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)
