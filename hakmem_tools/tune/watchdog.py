"""Undoes what a killed runner leaves: measured processes that go on, knobs that stay switched.

Whoever gets SIGKILL cannot clean up. So a small helper process is told of each thing that must not
outlast its owner, and when its pipe closes it undoes those that are left: `Watchdog` kills process
groups, `KnobKeeper` gives a process its live knobs back (see `keeper`). A helper does nothing else,
and it ends by itself.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Sequence

import msgspec

# Runs alone, without site packages: it imports nothing of ours.
_KILLER = """
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


class _Helper:
    """A helper process; the end of this process closes its pipe, however it comes."""

    def __init__(self, arguments: Sequence[str], stdout: int = subprocess.DEVNULL) -> None:
        # A session of its own: a signal to our group, or a terminal that goes, does not reach it.
        self._process = subprocess.Popen(
            [sys.executable, *arguments], stdin=subprocess.PIPE, stdout=stdout,
            start_new_session=True,
        )  # fmt: skip
        assert self._process.stdin is not None
        self._pipe = self._process.stdin.fileno()

    def close(self, *, wait: bool = True) -> None:
        """End the helper; by default wait until what it still watches is undone."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        if wait:
            self._process.wait()

    def _tell(self, line: str) -> None:
        with contextlib.suppress(BrokenPipeError):  # it has ended: nothing is watched any more
            os.write(self._pipe, line.encode() + b"\n")


class Watchdog(_Helper):
    """Kills the process groups that are left."""

    def __init__(self) -> None:
        super().__init__(["-I", "-S", "-c", _KILLER])

    def watch(self, group: int) -> None:
        """A process group has been started."""
        self._tell(f"+{group}")

    def forget(self, group: int) -> None:
        """A process group is over. Say so before its leader is reaped: then its number is free."""
        self._tell(f"-{group}")


class KnobKeeper(_Helper):
    """Gives one process its live knobs back; `left` are those that it still has to."""

    def __init__(self, pid: int) -> None:
        """Returns when the helper has found the process: before that it could undo nothing."""
        super().__init__(["-P", "-m", "hakmem_tools.tune.keeper", str(pid)], stdout=subprocess.PIPE)
        self.left: set[str] = set()
        assert self._process.stdout is not None
        with self._process.stdout as said:
            said.readline()  # or its end: the process is gone, and the sweep will say so itself

    def __enter__(self) -> KnobKeeper:
        return self

    def __exit__(self, *_: object) -> None:
        self.close(wait=not self.left)  # an idle process may take a minute to answer

    def watch(self, knob: str, value: str | None) -> None:
        """A knob is about to be switched; `value` is what it had, None for that of its start."""
        self.left.add(knob)
        self._tell(msgspec.json.encode((knob, value)).decode())

    def forget(self, knob: str) -> None:
        """A knob has been put back."""
        self.left.discard(knob)
        self._tell(msgspec.json.encode((knob,)).decode())
