"""A tracking server that is ill when a model is evaluated, or still away when the journal is sent."""

import pytest

from tests.faults.flow import Flow, remove
from tests.faults.table import Seen, note
from tests.faults.test_servers import replayed
from tests.servers import tracking_server

pytestmark = pytest.mark.slow


def test_an_evaluation_outlives_a_tracking_server_that_is_ill(flow: Flow) -> None:
    predictions = (flow.data / "report/predictions.parquet").read_bytes()
    with tracking_server() as server:
        server.illness = "hangs"
        done = flow.run_stage("evaluate", MLFLOW_TRACKING_URI=server.uri)
    assert done.status == 0, done.said
    assert "Traceback" not in done.said, done.said
    (line,) = [line for line in done.said.splitlines() if "all is kept in" in line]
    assert (flow.data / "report/predictions.parquet").read_bytes() == predictions
    kept = "all, in data/journal; `python -m asr.tracking replay` sends it"
    note(Seen("servers", "MLflow never answers an evaluation", line, kept, flow.lost_s(done.wall_s, "evaluate")))


def test_a_replay_to_a_server_that_is_still_away_loses_nothing(flow: Flow) -> None:
    remove(flow.data / "journal")
    assert flow.run_stage("train").status == 0
    done = flow.run("asr.tracking", "replay", MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    assert done.status == 1, done.said
    assert "Traceback" not in done.said, done.said
    (line,) = [line for line in done.said.splitlines() if "nothing is lost" in line]
    replayed(flow)
    note(Seen("servers", "MLflow is still down at the replay", line, "all, in data/journal", done.wall_s))
