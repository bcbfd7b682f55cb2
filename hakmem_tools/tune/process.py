"""One child process, started at a gate, watched while it runs, and accounted for when it ends.

The runner starts every measured command through it. The child is a shell that waits for one byte
and then becomes the command: so counters can be opened on it before the command exists, and the
arm's environment (LD_PRELOAD above all) never touches anything but the command.

It kills only the process group that it started. It knows nothing of arms or metrics.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import select
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from hakmem_tools.model.trial import RssSample
from hakmem_tools.tune.watchdog import Watchdog

# Descriptor 3 is the gate; on 4 the inner shell says its number once it has come up. A closed gate
# (the runner died) ends it. The outer shell is killed then, so that the inner one becomes our own
# child. Why two: the kernel starts a child's peak memory at that of the process that spawned it.
# The inner shell was forked by one of two megabytes, so the peak reported is the command's own.
# Arguments: directory, NAME=VALUE..., --, command.
_GATE = (
    '( read -r me _ </proc/self/stat; echo "$me" >&4; read -r _ <&3 || exit 125; exec 3<&- 4>&-;'
    ' cd -- "$1" || exit 125; shift;'
    ' while [ "$1" != -- ]; do export "$1"; shift; done; shift; exec "$@" ); exit'
)
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER
_PAGE = os.sysconf("SC_PAGE_SIZE")
_MAX_SAMPLES = 1000
_FIRST_SAMPLE = 0.001


class Ended(NamedTuple):
    """How a process ended. `code` is negative for a signal; times are seconds, sizes bytes."""

    code: int
    timed_out: bool
    wall: float
    user: float
    system: float
    peak_rss: int
    minor_faults: int
    major_faults: int
    voluntary_switches: int
    involuntary_switches: int
    rss: tuple[RssSample, ...]


class Interrupted(Exception):
    """Someone asked for the run to end at once: the process is killed, and nothing is accounted."""


class Child:
    """A process at its gate. Call `release`, then `wait`; `kill` at any time; `close` always."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        extra: Mapping[str, str],
        cwd: str,
        stdout: int,
        stderr: int,
        watchdog: Watchdog | None = None,
        sample_seconds: float = 0.05,
        on_sample: Callable[[int], None] | None = None,
        interrupt: int = -1,
    ) -> None:
        self._watchdog = watchdog
        self._interval = max(sample_seconds, 0.005)
        self._on_sample = on_sample
        self._interrupt = interrupt
        self._samples: list[RssSample] = []
        self._reaped = False
        self.started = 0.0
        arguments = ["sh", "-c", _GATE, "sh", cwd]
        arguments += [*(f"{name}={value}" for name, value in extra.items()), "--", *command]
        _adopt_orphans()
        gate_out, self._gate = os.pipe()
        ready, ready_out = os.pipe()
        nothing = os.open(os.devnull, os.O_RDONLY)
        try:
            # High copies first, so that no source is overwritten by an earlier target.
            self._group = os.posix_spawn(
                "/bin/sh",
                arguments,
                dict(env),
                file_actions=_moves([(nothing, 0), (stdout, 1), (stderr, 2), (gate_out, 3),
                                     (ready_out, 4)]),
                setpgroup=0,
                setsigmask=[],
                setsigdef=[signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGHUP],
            )  # fmt: skip
        finally:
            for descriptor in (gate_out, ready_out, nothing):
                os.close(descriptor)
        if watchdog is not None:
            watchdog.watch(self._group)
        with os.fdopen(ready, "rb") as up:
            self.pid = int(up.readline())
        os.kill(self._group, signal.SIGKILL)
        os.waitpid(self._group, 0)
        self._pidfd = os.pidfd_open(self.pid)
        self._shell_faults = _minor_faults(self.pid)

    def release(self) -> None:
        """Let the command begin; the clock starts here."""
        self.started = time.perf_counter()
        with contextlib.suppress(BrokenPipeError):
            os.write(self._gate, b"\n")

    @property
    def over(self) -> bool:
        """Whether the process has ended (it may not be reaped yet)."""
        return self._reaped or bool(select.select([self._pidfd], [], [], 0)[0])

    def watch_until(self, deadline: float, *others: int) -> bool:
        """Sample memory until the process ends, one of `others` is readable, or the deadline.

        `deadline` is on `time.perf_counter`'s clock. True if the process has ended. Raises
        Interrupted when the descriptor `interrupt` becomes readable.
        """
        poller = select.poll()
        if self._interrupt >= 0:
            poller.register(self._interrupt, select.POLLIN)
        for descriptor in (self._pidfd, *others):
            poller.register(descriptor, select.POLLIN)
        pause = _FIRST_SAMPLE
        while True:
            left = deadline - time.perf_counter()
            ready = {descriptor for descriptor, _ in poller.poll(max(0.0, min(pause, left)) * 1e3)}
            if self._interrupt in ready:
                raise Interrupted
            if ready or left <= 0:
                return self._pidfd in ready
            self._sample()
            pause = min(pause * 2, self._interval)

    def wait(self, timeout: float) -> Ended:
        """Wait for the end, killing the process group after `timeout` seconds; then account."""
        timed_out = not self.watch_until(self.started + timeout)
        if timed_out:
            self.kill()
        wall = time.perf_counter() - self.started
        return self.reap(wall, timed_out)

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to the process group that was started here, and to nothing else."""
        if not self._reaped:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._group, number)

    def reap(self, wall: float, timed_out: bool) -> Ended:
        """Collect the ended process; what it left running in its group is killed first."""
        select.select([self._pidfd], [], [])
        # The process is not reaped yet, so the number still names its group and no other.
        self.kill()
        if self._watchdog is not None:
            self._watchdog.forget(self._group)
        _, status, usage = os.wait4(self.pid, 0)
        self._reaped = True
        return Ended(
            code=os.waitstatus_to_exitcode(status),
            timed_out=timed_out,
            wall=wall,
            user=usage.ru_utime,
            system=usage.ru_stime,
            peak_rss=usage.ru_maxrss * 1024,
            minor_faults=max(0, usage.ru_minflt - self._shell_faults),
            major_faults=usage.ru_majflt,
            voluntary_switches=usage.ru_nvcsw,
            involuntary_switches=usage.ru_nivcsw,
            rss=tuple(self._samples),
        )

    def close(self) -> None:
        """End the process if it is still there, and release the descriptors."""
        if not self._reaped:
            self.kill()
            self.reap(0.0, False)
        os.close(self._gate)
        os.close(self._pidfd)

    def _sample(self) -> None:
        current = _resident(self.pid)
        if current is None:
            return
        since = time.perf_counter() - self.started
        if not self._samples or since - self._samples[-1].seconds >= 0.9 * self._interval:
            self._samples.append(RssSample(since, current))
            if len(self._samples) >= _MAX_SAMPLES:
                del self._samples[::2]
                self._interval *= 2
        if self._on_sample is not None:
            self._on_sample(self.pid)


@functools.cache
def _adopt_orphans() -> None:
    """Make this process the one to which the inner shells fall, once."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def _moves(pairs: Sequence[tuple[int, int]]) -> list[tuple[int, ...]]:
    """dup2 actions that put each source at its target, by way of numbers no target uses."""
    spare = 100 + max(source for source, _ in pairs)
    up = [(os.POSIX_SPAWN_DUP2, source, spare + place) for place, (source, _) in enumerate(pairs)]
    down = [(os.POSIX_SPAWN_DUP2, spare + place, to) for place, (_, to) in enumerate(pairs)]
    return [*up, *down, *((os.POSIX_SPAWN_CLOSE, spare + place) for place in range(len(pairs)))]


def _minor_faults(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[7])
    except (OSError, IndexError, ValueError):
        return 0


def _resident(pid: int) -> int | None:
    """Resident bytes now; None for a process that is gone."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read().split()[1]) * _PAGE or None
    except (OSError, IndexError):
        return None
