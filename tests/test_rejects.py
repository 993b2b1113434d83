from asr.rejects import commonest, count_reasons, read_rejects, write_rejects
from asr.utterances import Rejected

ROWS = [Rejected("a", "silent", "peak 0"), Rejected("b", "too long", "31 s"), Rejected("c", "silent")]


def test_rejects_are_read_back_also_when_there_are_none(tmp_path):
    for rows in (ROWS, []):
        write_rejects(tmp_path, rows)
        assert read_rejects(tmp_path) == rows


def test_reasons_are_counted_commonest_first():
    assert list(count_reasons(ROWS).items()) == [("silent", 2), ("too long", 1)]
    assert commonest(ROWS) == "2 silent, 1 too long"
    assert commonest([]) == ""
