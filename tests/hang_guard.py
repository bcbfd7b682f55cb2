"""No test can hang the suite: each of its phases has a limit, and what it started ends with it.

tests/conftest.py puts every test's set-up, call and tear-down under `limited()`. The limit is no
timing test: it is many times what the slowest test takes. When it is over, the processes that
were started since are killed first, so that whoever waits for one of them wakes up; then the test
fails with the place where it waited. Where Python does not come to its handler any more (a call in
C that ends never), the stacks are printed and this process leaves. Each worker of pytest-xdist
guards itself.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import TextIO

import psutil
import pytest

LIMIT_S = 300.0
#: A handler's exception may be swallowed, or land in another wait: it comes again this often.
AGAIN_S = 20.0
#: After this much more, the process is given up.
GIVE_UP_S = 180.0
#: Processes carry it in their environment, also those that have left our tree of processes.
MARK = "PYTEST_RUN_OF"
_END_GRACE_S = 10.0
_STARTED_SLACK_S = 0.05  # the kernel counts starts in hundredths of a second

_run = ""


def begin_run() -> None:
    """Marks what this process starts from now on."""
    global _run
    _run = os.environ[MARK] = uuid.uuid4().hex


def now_s() -> float:
    """Seconds since the machine started, the clock of `_started_s`."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _started_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[19]) / os.sysconf("SC_CLK_TCK")


def started_by_us(since_s: float = 0.0) -> list[psutil.Process]:
    """Living processes of this run that began at `since_s` (by now_s()) or later."""
    found = {process.pid: process for process in psutil.Process().children(recursive=True)}
    mark = f"{MARK}={_run}".encode()
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError, psutil.Error):
            if mark in path.read_bytes().split(b"\0"):
                pid = int(path.parent.name)
                found.setdefault(pid, psutil.Process(pid))
    found.pop(os.getpid(), None)
    return [process for process in found.values() if _lives(process, since_s)]


def _lives(process: psutil.Process, since_s: float) -> bool:
    try:
        began_s = _started_s(process.pid)
        return bool(
            process.status() != psutil.STATUS_ZOMBIE and began_s >= since_s - _STARTED_SLACK_S
        )
    except (psutil.Error, OSError):
        return False


def end(processes: list[psutil.Process]) -> list[str]:
    """Kills them; one line for each: what it was, who started it and where it stood."""
    lines = []
    for process in processes:
        with contextlib.suppress(psutil.Error, OSError):
            words = " ".join(process.cmdline()) or process.name()
            started_in = process.environ().get("PYTEST_CURRENT_TEST", "no test")
            waits_in = Path(f"/proc/{process.pid}/wchan").read_text()
            lines.append(f"{process.pid}, {process.status()} {waits_in}: {words}, of {started_in}")
            process.kill()
    return lines


def end_left_over() -> list[str]:
    """Kills what still runs of this run, after a moment in which it may end by itself."""
    _, alive = psutil.wait_procs(started_by_us(), timeout=_END_GRACE_S)
    return end(alive)


@contextlib.contextmanager
def limited(what: str, output: TextIO, limit_s: float = LIMIT_S) -> Iterator[None]:
    """Fails the block when it takes longer; `output` must not be captured."""
    began_s = now_s()

    def fire(_number: int, _frame: FrameType | None) -> None:
        ended = end(started_by_us(began_s))
        report = "".join(f"\n  ended {line}" for line in ended) or "\n  no process to end"
        print(f"\n{what}: not done after {now_s() - began_s:.0f} s{report}", file=output)
        faulthandler.dump_traceback(output)
        output.flush()
        pytest.fail(f"hung: not done after {limit_s:.0f} s{report}")

    before = signal.signal(signal.SIGALRM, fire)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
    faulthandler.dump_traceback_later(limit_s + GIVE_UP_S, exit=True, file=output)
    outer = signal.setitimer(signal.ITIMER_REAL, limit_s, AGAIN_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.cancel_dump_traceback_later()
        signal.signal(signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, *outer)


def uncaptured_stderr() -> TextIO:
    """A copy of stderr as it is before pytest captures."""
    return os.fdopen(os.dup(sys.__stderr__.fileno() if sys.__stderr__ else 2), "w")
