"""What this process may do with BPF, asked before anything is compiled.

bcc answers a missing privilege with "Failed to compile"; this module says what is missing and
what would do. Used by the loader and by `hakmem doctor`.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from hakmem_tools.observe.bpf.syscall import (
    TRACE_UPROBE_MULTI,
    TRACE_UPROBE_SESSION,
    load_trivial_program,
)
from hakmem_tools.observe.source import SourceUnavailable

#: Capability -> its bit in CapEff.
CAPABILITIES = {"CAP_SYS_PTRACE": 19, "CAP_SYS_ADMIN": 21, "CAP_PERFMON": 38, "CAP_BPF": 39}
_NEEDED = ("CAP_BPF", "CAP_PERFMON")


def held_capabilities(status: str | None = None) -> frozenset[str]:
    """Which of CAPABILITIES are in effect, from the text of /proc/self/status."""
    text = status if status is not None else Path("/proc/self/status").read_text()
    for line in text.splitlines():
        if line.startswith("CapEff:"):
            bits = int(line.split()[1], 16)
            return frozenset(name for name, bit in CAPABILITIES.items() if bits >> bit & 1)
    return frozenset()


def missing_capabilities(held: frozenset[str]) -> tuple[str, ...]:
    """What BPF on uprobes still needs; empty when `held` is enough."""
    if "CAP_SYS_ADMIN" in held:
        return ()
    return tuple(name for name in _NEEDED if name not in held)


def check_privilege(held: frozenset[str] | None = None) -> None:
    """Raises SourceUnavailable, in one sentence with the next step, when BPF is not allowed."""
    missing = missing_capabilities(held_capabilities() if held is None else held)
    if missing:
        raise SourceUnavailable(
            f"BPF needs {' and '.join(missing)}, which user {os.geteuid()} does not have here; "
            "run as root (sudo), or with these two capabilities"
        )
    try:
        os.close(load_trivial_program())
    except OSError as error:
        raise SourceUnavailable(_refusal(error)) from None


def _refusal(error: OSError) -> str:
    if error.errno in (errno.EPERM, errno.EACCES):
        return (
            "the kernel refuses BPF here although the capabilities are there (a container's "
            "seccomp filter, a user namespace or lockdown): run on the host, or allow bpf() and "
            "perf_event_open() in the container"
        )
    if error.errno == errno.ENOSYS:
        return "this kernel has no bpf() system call (CONFIG_BPF_SYSCALL)"
    return f"the kernel refuses BPF here: {error.strerror}"


def has_multi_uprobes() -> bool:
    """Whether programs for uprobe_multi links load (Linux 6.6 or newer)."""
    return _loads(TRACE_UPROBE_MULTI)


def has_session_uprobes() -> bool:
    """Whether one program can run at the entry and at chosen returns (Linux 6.13 or newer)."""
    return _loads(TRACE_UPROBE_SESSION)


def _loads(attach_type: int) -> bool:
    try:
        os.close(load_trivial_program(attach_type))
    except OSError:
        return False
    return True
