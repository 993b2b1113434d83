"""The address of a page -> what headless Chromium shows of it, measures on it and asks the network for.

Driven over a pipe in Chromium's own DevTools protocol (https://chromedevtools.github.io/devtools-protocol), so that no
driver is needed, and what is evaluated runs on pages that forbid scripts too.
"""

import base64
import functools
import json
import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ANSWER_S = 30.0  # a bound on each call
INSTALL_S = 300.0
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-dev-shm-usage"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--mute-audio"),
)

# Elements that reach over the right edge, but for what lies in a box that scrolls, or is cut where its box ends.
BEYOND = """[...document.querySelectorAll("body *")].filter(element => {
    if (element.closest(".scroll, pre, .label, svg") || !element.getClientRects().length) return false
    return element.getBoundingClientRect().right > innerWidth + 1
}).map(element => element.outerHTML.slice(0, 80))"""
# The lowest contrast of any text to what lies behind it (WCAG 2.2, relative luminance).
CONTRAST = """(() => {
    const light = colour => {
        const parts = colour.match(/[\\d.]+/g).slice(0, 3).map(part => part / 255)
        const [red, green, blue] = parts.map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue
    }
    const behind = element => {
        const colour = getComputedStyle(element).backgroundColor
        return colour != "rgba(0, 0, 0, 0)" || !element.parentElement ? colour : behind(element.parentElement)
    }
    const texts = [...document.querySelectorAll("p, li, td, th, dt, dd, h1, h2, small, del, ins, a, b, summary, code")]
    return Math.min(...texts.map(element => {
        const [low, high] = [light(getComputedStyle(element).color), light(behind(element))].sort((a, b) => a - b)
        return (high + 0.05) / (low + 0.05)
    }))
})()"""


@functools.cache
def program() -> str:
    """The path of Chromium; root installs Debian's package once, anyone else skips the test."""
    if found := shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome"):
        return found
    if os.geteuid() == 0 and (apt := shutil.which("apt-get")):
        wait = ("-o", "DPkg::Lock::Timeout=120")
        install = [apt, "install", "-qq", "--no-install-recommends", *wait, "-y", "chromium"]
        try:
            subprocess.run(install, capture_output=True, timeout=INSTALL_S, check=False)
        except subprocess.TimeoutExpired:
            pytest.skip(f"NO CHROMIUM, so no page was looked at: apt-get took over {INSTALL_S:g} s")
        if found := shutil.which("chromium"):
            return found
    pytest.skip("NO CHROMIUM, so no page was looked at: apt-get install chromium")


@contextmanager
def browser(profile: Path) -> Iterator["Page"]:
    """A page of a Chromium of its own, which keeps its files in `profile` and is gone after the block."""
    command = [program(), *FLAGS, f"--user-data-dir={profile}", "--remote-debugging-pipe", "about:blank"]
    # The protocol's pipes are number 3 and 4.
    moved = ["sh", "-c", 'exec "$@" 3<&0 4>&1 </dev/null >/dev/null', "sh", *command]
    process = subprocess.Popen(
        moved, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        yield Page(process)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


class Page:
    """A tab. `requests` are the addresses that its pages have asked for, those of the pages themselves included."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._to, self._from = process.stdin.fileno(), process.stdout.fileno()
        self._buffer, self._n_calls, self._session = b"", 0, ""
        self._is_loaded = False
        self.requests: list[str] = []
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._call("Page.enable")
        self._call("Network.enable")

    def open(self, address: str, width: int = 1100, height: int = 1600, *, dark: bool = False) -> None:
        """Load a page as a screen of so many CSS pixels shows it, and wait until it is there."""
        self._call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._call("Emulation.setEmulatedMedia", features=[scheme])
        self._is_loaded = False
        refusal = self._call("Page.navigate", url=address).get("errorText")
        assert not refusal, f"{address}: {refusal}"
        until_s = time.monotonic() + ANSWER_S
        while not self._is_loaded:
            self._take(until_s)

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression on the page; of a promise, what it resolves to."""
        found = self._call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait_for(self, expression: str, longest_s: float = ANSWER_S) -> Any:
        """The value of an expression as soon as it is true."""
        until_s = time.monotonic() + longest_s
        while not (found := self.evaluate(expression)):
            assert time.monotonic() < until_s, f"{expression} is still {found} after {longest_s:g} s; {self.text()}"
            time.sleep(0.1)
        return found

    def upload(self, selector: str, path: Path) -> None:
        """Choose a file in an input of the page."""
        root = self._call("DOM.getDocument")["root"]["nodeId"]
        node = self._call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self._call("DOM.setFileInputFiles", files=[str(path)], nodeId=node)

    def text(self) -> str:
        """What is to be read on the page."""
        return str(self.evaluate("document.body.innerText"))

    def screenshot(self, path: Path, *, whole: bool = False) -> None:
        """A PNG of the screen, or of the `whole` page however long it is."""
        found = self._call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(found["data"]))

    def _call(self, method: str, **arguments: Any) -> Any:
        self._n_calls += 1
        message = {"id": self._n_calls, "method": method, "params": arguments}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        until_s = time.monotonic() + ANSWER_S
        while True:
            answer = self._take(until_s)
            if answer.get("id") == self._n_calls:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]

    def _take(self, until_s: float) -> dict[str, Any]:
        """The next message; the events that matter are noted."""
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._from], [], [], max(0.0, until_s - time.monotonic()))
            assert ready, f"Chromium has not answered within {ANSWER_S:g} s"
            part = os.read(self._from, 1 << 16)
            assert part, "Chromium has ended"
            self._buffer += part
        text, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        if message.get("method") == "Network.requestWillBeSent":
            self.requests.append(message["params"]["request"]["url"])
        self._is_loaded |= message.get("method") == "Page.loadEventFired"
        return message
