import errno
import threading

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from asr import storage
from asr.clips import ahead
from asr.clips.ahead import Ahead, Cells
from asr.utterances import Block
from tests.builders import speech_like

pytest_plugins = ["tests.emulators"]


@pytest.fixture
def slow_store(monkeypatch):
    """A store whose objects come when the event is set; `asked` are those that were asked for."""
    asked, come = [], threading.Event()

    def open_read(path):
        asked.append(path)
        assert come.wait(10)
        return path

    monkeypatch.setattr(ahead.storage, "open_read", open_read)
    return asked, come


def test_objects_come_in_the_order_in_which_they_are_wanted(slow_store):
    asked, come = slow_store
    come.set()
    names = [f"s3://bucket/{n}" for n in range(40)]
    with Ahead((name, 1) for name in names) as files:
        assert [files.open_read(name) for name in names] == names
    assert sorted(asked) == sorted(names)


def test_so_many_are_under_way_as_fit_in_memory_and_one_in_any_case(slow_store, monkeypatch):
    asked, come = slow_store
    monkeypatch.setattr(ahead, "HELD_BYTES", 100)
    sizes = [1000, 40, 40, 40, 1000]
    with Ahead((f"gs://bucket/{n}", size) for n, size in enumerate(sizes)) as files:
        threading.Timer(0.3, come.set).start()
        assert files.open_read("gs://bucket/0") == "gs://bucket/0"
        assert sorted(asked) == [f"gs://bucket/{n}" for n in range(3)]
        for n in range(1, 5):
            assert files.open_read(f"gs://bucket/{n}") == f"gs://bucket/{n}"


def test_files_of_this_machine_are_opened_when_they_are_wanted(tmp_path):
    (tmp_path / "a").write_bytes(b"content")
    with Ahead([(str(tmp_path / "a"), 7), (str(tmp_path / "gone"), 7)]) as files:
        with files.open_read(str(tmp_path / "a")) as file:
            assert file.read() == b"content"
        with pytest.raises(FileNotFoundError):
            files.open_read(str(tmp_path / "gone"))


def test_an_object_that_is_gone_is_known_when_it_is_its_turn(s3):
    storage.put_bytes(speech_like(0.1).tobytes(), f"{s3}/there")
    with Ahead([(f"{s3}/gone", 1), (f"{s3}/there", 1)]) as files:
        with pytest.raises(FileNotFoundError):
            files.open_read(f"{s3}/gone")
        assert len(files.open_read(f"{s3}/there").read()) == 6400


@pytest.fixture
def cells(tmp_path):
    """(the path of a Parquet file of two row groups, what its rows embed)."""
    content = [bytes([n]) * 10 for n in range(60)]
    pq.write_table(pa.table({"a&b": pa.array(content, pa.binary())}), tmp_path / "cells.parquet", row_group_size=40)
    return str(tmp_path / "cells.parquet"), content


def test_rows_of_blocks_are_read_in_any_order_and_a_block_is_opened_once_for_those_in_order(cells, monkeypatch):
    path, content = cells
    opened, open_parts = [], storage.open_parts
    monkeypatch.setattr(ahead.storage, "open_parts", lambda uri: opened.append(uri) or open_parts(uri))
    with Cells() as files:
        for number in (0, 7, 39, 45, 59, 3):
            block = str(Block(path, number // 40, "a&b"))
            assert files.open_read(block, number % 40).read() == content[number]
    assert len(opened) == 3


@pytest.mark.parametrize(("block", "column", "row"), [(0, "a&b", 40), (9, "a&b", 0), (0, "c", 0)])
def test_a_cell_that_is_not_there_any_more_says_that_the_file_is_another(cells, block, column, row):
    with Cells() as files, pytest.raises(OSError, match=r"row|[Cc]olumn") as raised:
        files.open_read(str(Block(cells[0], block, column)), row)
    assert raised.value.errno == errno.EBADMSG


def test_a_block_is_what_its_name_says():
    for block in (Block("a#b/c.parquet", 7, "a&b #"), Block("hf://datasets/a/b@0/c.parquet", 0, "audio")):
        assert Block.of(str(block)) == block
