"""A job's graph and the chosen runner -> the job has run; or what a user can mend, in a line, whoever wrapped it."""

import os
import re
from collections.abc import Callable
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from asr.errors import UserError
from pipelines.options import runner_name, runs_here
from pipelines.watchdog import RESUME, ending_with_interrupt

# Each runner wraps what a worker raised in its own way, but all keep its last line.
SAID_BY_A_WORKER = re.compile(r"(?:ShardFailed|UserError): (.*?)(?: \[while running|\\n|\n|$)")


def run(options: PipelineOptions, build: Callable[[beam.Pipeline], Any]) -> None:
    """Runs what `build` puts into a pipeline, to its end. Raises `UserError` for what a worker or a service says."""
    is_here = runs_here(options)
    try:
        with ending_with_interrupt(is_here), beam.Pipeline(options=options) as pipeline:
            # Empty, and for transforms in other languages alone; a job that is killed would leave it.
            os.rmdir(pipeline.local_tempdir)
            build(pipeline)
    except UserError:
        raise
    except Exception as error:
        if failed := SAID_BY_A_WORKER.search(f"{type(error).__name__}: {error}"):
            raise UserError(f"{failed[1]}; {RESUME} when that is mended") from error
        if is_here:
            raise
        said = str(error).strip().partition("\n")[0] or type(error).__name__
        raise UserError(f"{runner_name()}: {said} ({type(error).__name__}); {RESUME} when that is mended") from error
