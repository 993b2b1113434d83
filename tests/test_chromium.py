"""tests/chromium.py: what the tests of pages see through, that it sees."""

from pathlib import Path

import pytest

from tests.chromium import browser

PAGE = """<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="script-src 'none'">
<style>p { color: rgb(1, 2, 3) } @media (prefers-color-scheme: dark) { p { color: rgb(4, 5, 6) } }</style>
<script>document.title = "scripts run"</script><p>Grüße</p><img src="http://127.0.0.1:9/picture.png">"""


@pytest.fixture
def address(tmp_path: Path) -> str:
    (tmp_path / "page.html").write_text(PAGE, encoding="utf-8")
    return (tmp_path / "page.html").as_uri()


def test_a_page_is_read_measured_and_drawn_as_a_screen_shows_it(tmp_path: Path, address: str) -> None:
    colour = "getComputedStyle(document.querySelector('p')).color"
    with browser(tmp_path / "profile") as page:
        page.open(address, width=390)
        assert (page.text(), page.evaluate("innerWidth"), page.evaluate(colour)) == ("Grüße", 390, "rgb(1, 2, 3)")
        assert page.evaluate("document.title") == ""
        page.screenshot(tmp_path / "picture.png")
        page.open(address, dark=True)
        assert page.evaluate(colour) == "rgb(4, 5, 6)"
    assert (tmp_path / "picture.png").read_bytes()[:4] == b"\x89PNG"


def test_what_a_page_asks_the_network_for_is_seen(tmp_path: Path, address: str) -> None:
    with browser(tmp_path / "profile") as page:
        page.open(address)
        assert page.requests == [address, "http://127.0.0.1:9/picture.png"]


def test_what_never_comes_true_is_told(tmp_path: Path, address: str) -> None:
    with browser(tmp_path / "profile") as page:
        page.open(address)
        with pytest.raises(AssertionError, match="still False after"):
            page.wait_for("innerWidth == 7", longest_s=0.3)
