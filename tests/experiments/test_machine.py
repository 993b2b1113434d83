"""asr/experiments/machine.py: SIGTERM is an exception that unwinds."""

import os
import signal

import pytest

from asr.experiments import machine


def test_sigterm_raises_the_shells_code_for_it() -> None:
    before = machine.exit_on_sigterm()
    try:
        assert machine.exit_on_sigterm() is None  # somebody handles it already
        with pytest.raises(SystemExit) as left:
            os.kill(os.getpid(), signal.SIGTERM)
        assert left.value.code == 143
    finally:
        signal.signal(signal.SIGTERM, before)


def test_the_load_is_that_of_this_process_too() -> None:
    load = machine.system_metrics()
    assert 0 <= load["system/cpu_utilization_percentage"] <= 100
    assert 0 < load["system/process_memory_megabytes"] < load["system/system_memory_usage_megabytes"]
