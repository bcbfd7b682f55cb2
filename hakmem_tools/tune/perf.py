"""Kernel performance counters of one command, as `perf stat` counts them.

The runner opens them on a process that waits at its gate: they start counting when it executes the
measured command, follow its children, and are read after it has ended. That is exact and costs the
command nothing; a `perf stat` around it would start under the arm's own LD_PRELOAD.

What cannot be counted is missing with its reason (most virtual machines count no hardware events),
never 0. It samples nothing and attaches to nothing that is already running.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Sequence
from typing import NamedTuple

_SYSCALL = {"x86_64": 298, "aarch64": 241, "riscv64": 241, "ppc64le": 319, "s390x": 331}
_CLOEXEC = 8  # PERF_FLAG_FD_CLOEXEC
_READ_FORMAT = 3  # value, time enabled, time running
_DISABLED, _INHERIT, _NO_USER, _NO_KERNEL, _ON_EXEC = 1 << 0, 1 << 1, 1 << 4, 1 << 5, 1 << 12

# perf's own event names -> (type, config) of linux/perf_event.h.
EVENTS: dict[str, tuple[int, int]] = {
    "cpu-clock": (1, 0),
    "task-clock": (1, 1),
    "page-faults": (1, 2),
    "context-switches": (1, 3),
    "cpu-migrations": (1, 4),
    "minor-faults": (1, 5),
    "major-faults": (1, 6),
    "cycles": (0, 0),
    "instructions": (0, 1),
    "cache-references": (0, 2),
    "cache-misses": (0, 3),
    "branches": (0, 4),
    "branch-misses": (0, 5),
    "ref-cycles": (0, 9),
    "L1-dcache-load-misses": (3, 0x10000),
    "LLC-load-misses": (3, 0x10002),
    "dTLB-load-misses": (3, 0x10003),
    "iTLB-load-misses": (3, 0x10004),
}
DEFAULT_EVENTS = ("instructions", "cycles", "cache-misses", "dTLB-load-misses", "context-switches")


class Count(NamedTuple):
    """A counter's total, or None with the reason."""

    value: float | None
    reason: str = ""


def check_events(names: Sequence[str]) -> None:
    """Raise ValueError with one line for the first name that is not an event."""
    for name in names:
        base, _, modifier = name.partition(":")
        if base not in EVENTS or modifier not in ("", "u", "k"):
            raise ValueError(
                f"perf event {name!r}: allowed are {', '.join(EVENTS)}; with :u or :k for one side"
            )


class Counters:
    """Counters opened on one process; `read` after it has ended, and `close` always."""

    def __init__(self, names: Sequence[str], pid: int) -> None:
        self._open: dict[str, int] = {}
        self._missing: dict[str, str] = {}
        for name in names:
            descriptor, number = _open_event(name, pid)
            if descriptor >= 0:
                self._open[name] = descriptor
            else:
                self._missing[name] = _reason(name, number)

    def read(self) -> dict[str, Count]:
        """Totals over the process and its children; task-clock and cpu-clock in seconds.

        A counter that shared its hardware with others is scaled up by the time it ran.
        """
        found = {name: Count(None, reason) for name, reason in self._missing.items()}
        for name, descriptor in self._open.items():
            value, enabled, running = struct.unpack("QQQ", os.read(descriptor, 24))
            if enabled and not running:
                found[name] = Count(None, "not counted: no hardware counter was free")
            else:
                scaled = value * (enabled / running if running else 1.0)
                found[name] = Count(scaled * 1e-9 if name.endswith("-clock") else scaled)
        return found

    def close(self) -> None:
        """Release the descriptors."""
        for descriptor in self._open.values():
            os.close(descriptor)
        self._open.clear()


def _open_event(name: str, pid: int) -> tuple[int, int]:
    """Open one counter; the descriptor, or -1 and the error number."""
    number = _SYSCALL.get(os.uname().machine)
    if number is None:
        return -1, errno.ENOSYS
    base, _, modifier = name.partition(":")
    kind, config = EVENTS[base]
    flags = _DISABLED | _INHERIT | _ON_EXEC
    flags |= _NO_KERNEL if modifier == "u" else 0
    flags |= _NO_USER if modifier == "k" else 0
    attributes = struct.pack("IIQQQQQIIQ", kind, 64, config, 0, 0, _READ_FORMAT, flags, 0, 0, 0)
    buffer = ctypes.create_string_buffer(attributes, 64)
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.syscall(
        ctypes.c_long(number), buffer, ctypes.c_int(pid), ctypes.c_int(-1), ctypes.c_int(-1),
        ctypes.c_ulong(_CLOEXEC),
    )  # fmt: skip
    return int(descriptor), ctypes.get_errno()


def _reason(name: str, number: int) -> str:
    if number in (errno.ENOENT, errno.EOPNOTSUPP, errno.ENODEV):
        return "not supported: this machine does not count it"
    if number in (errno.EACCES, errno.EPERM):
        return f"not permitted: ask for {name.partition(':')[0]}:u, or for CAP_PERFMON"
    return f"not counted: {os.strerror(number)}"
