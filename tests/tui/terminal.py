"""A real terminal for tests: one tmux server for all of them, read by capture-pane.

The server is our child and dies with us, whatever ends the tests; a pane ends with its test.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]

#: A condition that never comes true fails the test after so many seconds; none waits so long.
HANG_S = 60

_numbers = count()


class Tmux:
    """A tmux server of our own, on a socket of its own."""

    def __init__(self, directory: Path) -> None:
        self._socket = str(directory / "socket")
        command = ["tmux", "-D", "-S", self._socket, "-f", os.devnull]
        # The kernel ends it with us, also when we are killed.
        self._server = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", *command], start_new_session=True
        )
        _await(lambda: Path(self._socket).exists(), "tmux opens its socket")

    def run(self, *arguments: str) -> str:
        """One tmux command's output."""
        done = subprocess.run(
            ["tmux", "-S", self._socket, *arguments], check=True, capture_output=True, text=True
        )
        return done.stdout

    def close(self) -> None:
        """Ends the server."""
        self._server.terminate()
        self._server.wait(HANG_S)


@contextmanager
def tmux_server() -> Iterator[Tmux]:
    """A server that ends with the block."""
    with tempfile.TemporaryDirectory(prefix="hakmem-tmux-") as directory:
        tmux = Tmux(Path(directory))
        try:
            yield tmux
        finally:
            tmux.close()


class Terminal:
    """A pane that runs one command and then says `EXIT code`."""

    def __init__(self, tmux: Tmux, name: str, processes: list[psutil.Process]) -> None:
        self._tmux = tmux
        self._name = name
        self._shell = processes

    def keys(self, *names: str) -> None:
        """Presses keys, by tmux's names."""
        self._tmux.run("send-keys", "-t", self._name, *names)

    def resize(self, width: int, height: int) -> None:
        """Gives the terminal another size."""
        self._tmux.run("resize-window", "-t", self._name, "-x", str(width), "-y", str(height))

    def text(self) -> str:
        """What the pane shows."""
        return self._tmux.run("capture-pane", "-p", "-t", self._name)

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

    def processes(self) -> list[psutil.Process]:
        """The pane's shell and everything that it started."""
        alive = [process for process in self._shell if _runs(process)]
        return [*alive, *(child for process in alive for child in process.children(True))]

    def close(self) -> list[psutil.Process]:
        """Takes the terminal away; gives the processes that did not end of that."""
        processes = self.processes()
        with contextlib.suppress(subprocess.CalledProcessError):  # it has gone already
            self._tmux.run("kill-session", "-t", self._name)
        try:
            _await(lambda: not any(map(_runs, processes)), "all processes of the pane end")
        except AssertionError:
            stuck = [process for process in processes if _runs(process)]
            for process in stuck:
                process.kill()
            return stuck
        return []


@contextmanager
def terminal(tmux: Tmux, width: int, height: int, *arguments: str) -> Iterator[Terminal]:
    """A terminal of this size in which replay_app runs with these arguments."""
    words = (sys.executable, "-m", "tests.tui.replay_app", *arguments)
    with terminal_of(tmux, width, height, *words) as pane:
        yield pane


@contextmanager
def terminal_of(tmux: Tmux, width: int, height: int, *words: str) -> Iterator[Terminal]:
    """A terminal of this size in which this command runs."""
    name = f"top{next(_numbers)}"
    command = shlex.join(words)
    # Textual believes COLUMNS and LINES before it asks the terminal.
    script = f"cd {shlex.quote(str(ROOT))}; unset COLUMNS LINES; {command}; echo EXIT $?; read _"
    size = ["-x", str(width), "-y", str(height)]
    shown = ["-P", "-F", "#{pane_pid}"]
    pid = int(tmux.run("new-session", "-d", *shown, "-s", name, *size, "sh", "-c", script))
    pane = Terminal(tmux, name, [psutil.Process(pid)])
    try:
        yield pane
    finally:
        stuck = pane.close()
    assert not stuck, "hakmem-top outlived its terminal"


def _runs(process: psutil.Process) -> bool:
    """Whether a process has not ended; one that nobody has reaped yet has."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _await(condition: Callable[[], bool], what: str) -> None:
    """Looks again and again until the condition is true."""
    end = time.monotonic() + HANG_S
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"never happened: {what}")
        time.sleep(0.01)  # between two looks
