"""A headless Chromium, driven over its debugging protocol: real clicks, real keys."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import websocket

HANG_S = 60


class Page:
    """One page. Answers come in order, so that the last command's is awaited."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._number = 0
        self.problems: list[str] = []
        self.requests: list[str] = []
        self.send("Runtime.enable")
        self.send("Network.enable")
        self.send("Page.enable")

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Sends a command and waits for its answer; notes what the page complains about."""
        self._number += 1
        self._connection.send(
            json.dumps({"id": self._number, "method": method, "params": parameters})
        )
        while True:
            message = json.loads(self._connection.recv())
            if message.get("id") == self._number:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result
            self._note(message)

    def _note(self, message: dict[str, Any]) -> None:
        parameters = message.get("params", {})
        if message.get("method") == "Runtime.exceptionThrown":
            self.problems.append(str(parameters["exceptionDetails"].get("exception")))
        if message.get("method") == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])

    def open(self, path: Path) -> None:
        """Loads a file and waits until its script has run."""
        self.send("Page.navigate", url=path.as_uri())
        self.until("document.readyState === 'complete' && !!document.querySelector('.frame')")

    def value(self, script: str) -> Any:
        """What an expression gives in the page."""
        answer = self.send("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def until(self, script: str) -> None:
        """Waits until an expression holds."""
        _wait(lambda: bool(self.value(script)), script)

    def click(self, selector: str) -> None:
        """Presses the mouse in the middle of an element, like a hand."""
        x, y = self._middle(selector)
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def hover(self, selector: str) -> None:
        """Moves the mouse over an element."""
        x, y = self._middle(selector)
        self.send("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def key(self, key: str) -> None:
        """Presses and releases a key."""
        text = key if len(key) == 1 else ""
        self.send("Input.dispatchKeyEvent", type="keyDown", key=key, text=text)
        self.send("Input.dispatchKeyEvent", type="keyUp", key=key)

    def type(self, text: str) -> None:
        """Types into what has the focus."""
        self.send("Input.insertText", text=text)

    def choose(self, selector: str, value: str) -> None:
        """Picks an option of a list."""
        self.value(
            f"(() => {{ const e = document.querySelector({selector!r}); e.value = {value!r};"
            " e.dispatchEvent(new Event('change')); })()"
        )

    def _middle(self, selector: str) -> tuple[float, float]:
        x, y = self.value(
            f"(() => {{ const b = document.querySelector({selector!r}).getBoundingClientRect();"
            " return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        return x, y


@contextmanager
def chromium(directory: Path) -> Iterator[Page]:
    """A browser of its own; ended with its children when the test is done."""
    # Nothing of the user's own sessions is seen, nor left behind.
    process = subprocess.Popen(
        [
            *("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
            *("--disable-background-networking", "--disable-dev-shm-usage"),
            *("--remote-debugging-port=0", "--remote-allow-origins=*"),
            *(f"--user-data-dir={directory}", "--window-size=1200,700", "about:blank"),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "HOME": str(directory), "XDG_CONFIG_HOME": str(directory)},
        start_new_session=True,
    )
    try:
        yield Page(_connect(process, directory / "DevToolsActivePort"))
    finally:
        os.killpg(process.pid, 9)
        process.wait()


def _connect(process: subprocess.Popen[bytes], port_file: Path) -> Any:
    def port_is_known() -> bool:
        assert process.poll() is None, "chromium has ended"
        return port_file.exists() and len(port_file.read_text().split()) == 2

    _wait(port_is_known, "chromium's port")
    port = int(port_file.read_text().split()[0])
    import urllib.request

    def target() -> str | None:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list") as answer:
            pages = [page for page in json.load(answer) if page["type"] == "page"]
        return pages[0]["webSocketDebuggerUrl"] if pages else None

    _wait(lambda: target() is not None, "a page")
    address = target()
    assert address is not None
    return websocket.create_connection(address, timeout=HANG_S)


def _wait(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + HANG_S
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.02)
