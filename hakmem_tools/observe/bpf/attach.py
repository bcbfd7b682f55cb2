"""Puts loaded BPF functions on the probe sites of one library file, and takes them off.

Two tiers, the first that the kernel has: a uprobe_multi link (one call for all sites of a
function, quick to detach), then perf uprobe events (any kernel; each site takes about 0.1 s to
detach). Both are nothing but descriptors: whatever ends this process, kill -9 included, also
detaches. Used by the watch. Decides nothing about what is read at a site.
"""

from __future__ import annotations

import errno
import os
import threading
from typing import Literal, NoReturn

from hakmem_tools.observe.bpf.generate import ProbeFunction
from hakmem_tools.observe.bpf.loader import Program
from hakmem_tools.observe.bpf.privilege import has_multi_uprobes
from hakmem_tools.observe.bpf.syscall import (
    TRACE_UPROBE_MULTI,
    create_multi_link,
    open_uprobe_event,
)
from hakmem_tools.observe.source import SourceUnavailable, TargetGone

Tier = Literal["uprobe_multi", "perf_uprobe"]

#: Said with each result that the slower tier gave.
SLOW_DETACH = "this kernel has no uprobe_multi links (Linux 6.6): detaching takes 0.1 s a probe"


class Attachment:
    """Probes that are attached, until close() or the end of this process."""

    def __init__(self, tier: Tier) -> None:
        self.tier = tier
        self.site_count = 0
        self.descriptors: list[int] = []

    def close(self) -> None:
        """Detaches; no function runs any more when it returns. May be called twice."""
        close_together(self.descriptors)

    def __enter__(self) -> Attachment:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def close_together(descriptors: list[int]) -> None:
    """Closes all and empties the list. Each close waits for a grace period of the kernel, about
    80 ms; these can be shared.
    """
    closing = descriptors[:]
    descriptors.clear()
    threads = [threading.Thread(target=os.close, args=(number,)) for number in closing[1:]]
    for thread in threads:
        thread.start()
    for number in closing[:1]:
        os.close(number)
    for thread in threads:
        thread.join()


def choose_tier(wanted: Tier | None = None) -> Tier:
    """The best tier of this kernel, or the wanted one."""
    if wanted is not None:
        return wanted
    return "uprobe_multi" if has_multi_uprobes() else "perf_uprobe"


def attach(
    program: Program,
    functions: tuple[ProbeFunction, ...],
    file: int,
    pid: int | None,
    tier: Tier,
) -> Attachment:
    """Attaches every function to its sites in the open file `file`.

    The kernel is handed the descriptor, not a name, so that it is the very file that was
    checked. With a pid, other processes do not meet the breakpoints at all; with None, all
    that map the file do. Raises SourceUnavailable, TargetGone; then nothing stays attached.
    """
    attachment = Attachment(tier)
    path = f"/proc/self/fd/{file}"
    put = _put_multi
    if tier == "perf_uprobe":
        path, put = _lasting_name(file, path), _put_perf
    try:
        for function in functions:
            put(attachment, program, function, path, pid)
            attachment.site_count += len(function.sites)
    except OSError as error:
        attachment.close()
        tell_refusal(error, pid)
    except BaseException:
        attachment.close()
        raise
    return attachment


def attach_forks(program: Program, attachment: Attachment) -> None:
    """Adds the two tracepoints of follow.bpf.c. Raises SourceUnavailable."""
    try:
        for tracepoint, function in (
            ("sched_process_fork", "on_fork"),
            ("sched_process_exit", "on_exit"),
        ):
            attachment.descriptors.append(program.attach_raw_tracepoint(tracepoint, function))
    except OSError as error:
        raise SourceUnavailable(f"children cannot be followed: {error.strerror}") from None


def _put_multi(
    attachment: Attachment, program: Program, function: ProbeFunction, path: str, pid: int | None
) -> None:
    loaded = program.load(function.name, TRACE_UPROBE_MULTI)
    sites = [(site.offset, site.semaphore_offset) for site in function.sites]
    attachment.descriptors.append(create_multi_link(loaded, path, sites, pid))


def _put_perf(
    attachment: Attachment, program: Program, function: ProbeFunction, path: str, pid: int | None
) -> None:
    loaded = program.load(function.name)
    for site in function.sites:
        attachment.descriptors.append(
            open_uprobe_event(loaded, path, site.offset, site.semaphore_offset, pid)
        )


def _lasting_name(file: int, path: str) -> str:
    """The file's name, if it still leads to it: tools list perf events by the name we gave."""
    try:
        name = os.readlink(path)
        return name if os.path.samestat(os.stat(name), os.fstat(file)) else path
    except OSError:
        return path


def tell_refusal(error: OSError, pid: int | None) -> NoReturn:
    """Raises TargetGone or SourceUnavailable for what the kernel answered."""
    if error.errno == errno.ESRCH:
        raise TargetGone(f"process {pid} has ended") from None
    if error.errno in (errno.EPERM, errno.EACCES):
        raise SourceUnavailable(
            f"the kernel refuses to attach probes ({error.strerror}): root or CAP_PERFMON and "
            "CAP_BPF are needed"
        ) from None
    raise SourceUnavailable(f"probes cannot be attached: {error.strerror or error}") from None
