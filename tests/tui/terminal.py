"""A real terminal for tests: one tmux server of its own, read by capture-pane."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

#: A condition that never comes true fails the test after so many seconds; none waits so long.
HANG_S = 60

_numbers = count()


class Terminal:
    """A pane that runs one command and then says `EXIT code`."""

    def __init__(self, socket: str) -> None:
        self._socket = socket

    def keys(self, *names: str) -> None:
        """Presses keys, by tmux's names."""
        self._tmux("send-keys", "-t", "top", *names)

    def resize(self, width: int, height: int) -> None:
        """Gives the terminal another size."""
        self._tmux("resize-window", "-t", "top", "-x", str(width), "-y", str(height))

    def text(self) -> str:
        """What the pane shows."""
        return self._tmux("capture-pane", "-p", "-t", "top")

    def wait(self, condition: Callable[[str], bool]) -> str:
        """The first text of the pane for which the condition is true."""
        end = time.monotonic() + HANG_S
        while True:
            text = self.text()
            if condition(text):
                return text
            if time.monotonic() > end:
                raise AssertionError(f"the terminal never showed it; it shows:\n{text}")
            time.sleep(0.02)  # between two looks, not instead of one

    def wait_for(self, *parts: str) -> str:
        """The first text of the pane that has all these parts."""
        return self.wait(lambda text: all(part in text for part in parts))

    def exit_code(self) -> int:
        """The command's exit code, once it has ended."""
        text = self.wait_for("EXIT ")
        return int(text.split("EXIT ")[1].split()[0])

    def _tmux(self, *arguments: str) -> str:
        return _run(self._socket, *arguments)


def _run(socket: str, *arguments: str) -> str:
    done = subprocess.run(
        ["tmux", "-L", socket, "-f", os.devnull, *arguments],
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout


@contextmanager
def terminal(width: int, height: int, *arguments: str) -> Iterator[Terminal]:
    """A terminal of this size in which replay_app runs with these arguments."""
    socket = f"hakmem-test-{os.getpid()}-{next(_numbers)}"
    command = shlex.join([sys.executable, "-m", "tests.tui.replay_app", *arguments])
    # Textual believes COLUMNS and LINES before it asks the terminal.
    script = f"cd {shlex.quote(str(ROOT))}; unset COLUMNS LINES; {command}; echo EXIT $?; read _"
    size = ["-x", str(width), "-y", str(height)]
    _run(socket, "new-session", "-d", "-s", "top", *size, "sh", "-c", script)
    try:
        yield Terminal(socket)
    finally:
        _run(socket, "kill-server")
