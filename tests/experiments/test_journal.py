"""asr/experiments/journal.py: what is written stays, once, whoever is killed meanwhile."""

import json
from pathlib import Path

import pytest

from asr.experiments.journal import History, Journal, curve, left_behind, oldest_first

START = {"do": "start", "time_ms": 1000}
SERVER = {"tracking_uri": "http://one", "run_id": "a run", "parent_run_id": None}


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """An open one, in which a run has started."""
    journal = Journal(tmp_path / "run.jsonl")
    assert journal.open()
    journal.append(START)
    return journal


def test_records_come_back_as_they_were_written(journal: Journal) -> None:
    tags = {"do": "tags", "time_ms": 1001, "tags": {"said": "два слова\n"}}
    journal.append(tags)
    assert journal.missing("http://one") == [START, tags]


def test_what_was_acknowledged_is_not_missing_until_the_server_is_another(journal: Journal) -> None:
    journal.acknowledge([START], **SERVER)
    assert journal.missing("http://one") == []
    assert journal.missing("http://two") == []  # MLflow has it all, be it another one
    end = {"do": "end", "time_ms": 1002, "status": "FINISHED"}
    journal.append(end)
    assert journal.missing("http://one") == [end]
    assert journal.missing("http://two") == [START, end]


def test_a_journal_has_one_writer_and_the_next_one_knows_what_was_sent(journal: Journal) -> None:
    journal.acknowledge([START], **SERVER)
    other = Journal(journal.path)
    assert not other.open()
    journal.close()
    assert other.open()
    assert other.sent == {**SERVER, "n_records": 1}


def test_a_killed_run_ends_with_its_last_whole_record(journal: Journal) -> None:
    journal._file.write('{"do": "params", "params": {"name": "\u044f')
    journal.close()
    for _ in range(2):
        with left_behind(journal.path) as found:
            assert found
            assert found.missing("http://one") == [START, {"do": "end", "time_ms": 1000, "status": "KILLED"}]


def test_a_run_that_goes_on_is_left_alone(journal: Journal) -> None:
    with left_behind(journal.path) as found:
        assert found is None
    assert [json.loads(line) for line in journal.lines()] == [START]


def test_a_run_that_is_resumed_goes_on_after_its_last_whole_record_and_has_not_ended(journal: Journal) -> None:
    journal.end_as_killed()
    assert journal.has_ended()
    journal._file.write('{"do": "par')
    journal.close()
    later = Journal(journal.path)
    assert later.has_begun() and later.open()
    later.resume(2000)
    assert [record["do"] for record in later.records()] == ["start", "end", "resume"]
    assert not later.has_ended()


def test_a_journal_that_is_gone_or_empty_has_not_begun(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").touch()
    assert not Journal(tmp_path / "empty.jsonl").has_begun()
    assert not Journal(tmp_path / "gone.jsonl").has_begun()


def test_what_a_process_before_has_kept_stays(journal: Journal, tmp_path: Path) -> None:
    paths = []
    for text in ("one", "two"):
        (tmp_path / "report").write_text(text)
        paths.append(Journal(journal.path).keep(tmp_path / "report"))
        (tmp_path / "report").unlink()
    assert [(tmp_path / path).read_text() for path in paths] == ["one", "two"]


POINTS = [
    {"do": "metrics", "step": 1, "metrics": {"train_loss": 3.0, "system/cpu": 50.0}},
    {"do": "metrics", "step": 2, "metrics": {"train_loss": 2.0}},
    {"do": "params", "params": {"train.seed": 1}},
    {"do": "metrics", "step": 3, "metrics": {"system/cpu": 50.0}},
    {"do": "metrics", "step": 1, "metrics": {"validation_loss": 4.0}},
]


def test_a_curve_has_the_metrics_by_their_steps_without_the_machines_load() -> None:
    assert curve(POINTS) == [
        {"step": 1, "train_loss": 3.0},
        {"step": 1, "validation_loss": 4.0},
        {"step": 2, "train_loss": 2.0},
    ]
    assert curve([START]) == []


def test_what_a_run_has_logged_is_not_new_for_each_metric_apart() -> None:
    history = History(POINTS)
    assert history.params == {"train.seed"}
    metrics = {"train_loss": 9.0, "validation_loss": 9.0}
    assert history.new_metrics(metrics, 1) == {}
    assert history.new_metrics(metrics, 2) == {"validation_loss": 9.0}
    assert history.new_metrics(metrics, 3) == metrics
    assert History().new_metrics(metrics, 0) == metrics


def test_what_is_kept_outlives_the_original_until_it_is_sent(journal: Journal, tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    record = {"do": "artifact", "kept": journal.keep(model)}
    (model / "config.json").unlink()
    assert journal.kept(record).name == "model"
    assert (journal.kept(record) / "config.json").read_text() == "{}"
    journal.acknowledge([record, {"do": "end"}])
    assert not list(tmp_path.glob("*.files"))


def test_journals_come_by_the_start_of_their_runs_and_empty_ones_not_at_all(tmp_path: Path) -> None:
    for name, time_ms in (("a", 30), ("b", 4), ("c", 100)):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"do": "start", "time_ms": time_ms}) + "\n")
    (tmp_path / "empty.jsonl").touch()
    assert [path.stem for path in oldest_first(tmp_path)] == ["b", "a", "c"]
