import threading

import pytest

from asr import ahead, storage
from asr.ahead import Ahead
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
