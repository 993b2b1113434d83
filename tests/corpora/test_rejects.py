from asr.corpora import rejects
from asr.corpora.rejects import commonest, count_reasons, read_rejects, write_rejects
from asr.utterances import Rejected

ROWS = [Rejected("a", "silent", "peak 0"), Rejected("b", "too long", "31 s"), Rejected("c", "silent")]


def test_rejects_are_read_back_also_when_there_are_none(tmp_path):
    for rows in (ROWS, []):
        assert write_rejects(tmp_path, rows) == count_reasons(rows)
        assert read_rejects(tmp_path) == rows


def test_reasons_are_counted_commonest_first():
    assert list(count_reasons(ROWS).items()) == [("silent", 2), ("too long", 1)]
    assert commonest(count_reasons(ROWS)) == "2 silent, 1 too long"
    assert commonest({}) == ""


def test_many_rejects_are_written_as_they_come(tmp_path, monkeypatch):
    monkeypatch.setattr(rejects, "_ROWS_PER_GROUP", 2)
    write_rejects(tmp_path, iter(ROWS))
    assert read_rejects(tmp_path) == ROWS
