from asr.progress import track


def test_items_come_back_in_order():
    assert list(track(iter("abc"), "Reading", total=3)) == ["a", "b", "c"]


def test_a_log_gets_a_line_with_count_and_rate(capsys):
    list(track([1, 2], "Reading", total=2, interval_s=0))
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(",")[0] for line in lines] == ["Reading: 1 of 2", "Reading: 2 of 2"]
    assert all(line.endswith("/s") for line in lines)


def test_an_unknown_total_is_left_out(capsys):
    list(track([1], "Reading", interval_s=0))
    assert capsys.readouterr().err.startswith("Reading: 1, ")


def test_what_is_soon_done_leaves_the_log_alone(capsys):
    list(track(range(100), "Reading"))
    assert capsys.readouterr().err == ""
