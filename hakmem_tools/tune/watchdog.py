"""Ends the measured processes when the runner itself is killed.

A runner that gets SIGKILL cannot clean up, and a measured server would go on and disturb every
later run. So one small helper process is told of each process group that starts and ends; when its
pipe closes, it kills those that are left. It kills nothing else, and it ends by itself.
"""

from __future__ import annotations

import os
import subprocess
import sys

# Runs alone, without site packages: it imports nothing of ours.
_HELPER = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
live = set()
for line in sys.stdin:
    group = int(line[1:])
    live.add(group) if line[0] == "+" else live.discard(group)
for group in live:
    try:
        os.killpg(group, signal.SIGKILL)
    except OSError:
        pass
"""


class Watchdog:
    """The helper process. `close` it, or let the end of this process close its pipe."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _HELPER],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert self._process.stdin is not None
        self._pipe = self._process.stdin.fileno()

    def watch(self, group: int) -> None:
        """A process group has been started."""
        self._tell(f"+{group}\n")

    def forget(self, group: int) -> None:
        """A process group is over. Say so before its leader is reaped: then its number is free."""
        self._tell(f"-{group}\n")

    def close(self) -> None:
        """End the helper; whatever it still watches is killed."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            self._process.stdin.close()
        self._process.wait()

    def _tell(self, line: str) -> None:
        os.write(self._pipe, line.encode())
