import os

from asr.corpora.listing import of_directory, write


def written(path, files):
    write(path, files)
    return path.read_bytes()


def test_the_order_of_the_files_does_not_matter_and_each_of_them_does(tmp_path):
    path = tmp_path / "listing.json"
    first = written(path, [("a", "1"), ("b", "1")])
    assert written(path, [("b", "1"), ("a", "1")]) == first
    assert len({first, *(written(path, files) for files in ([], [("a", "1")], [("a", "1"), ("b", "2")]))}) == 4


def test_a_name_that_is_no_text_is_listed(tmp_path):
    assert b'"files": 1' in written(tmp_path / "listing.json", [(os.fsdecode(b"\xe9.wav"), "1")])


def test_a_replaced_file_of_a_directory_is_noticed(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    before = list(of_directory(tmp_path))
    os.utime(tmp_path / "config.json", ns=(1, 1))
    assert [name for name, _ in before] == ["config.json"]
    assert list(of_directory(tmp_path)) != before
    assert list(of_directory(tmp_path / "openai/whisper-base")) == []
