"""However a trace ends, nothing stays: no breakpoint, no link, no uprobe; the target runs on."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Callable
from typing import Any

import psutil
import pytest

from hakmem_tools.observe.attached import find_attached
from hakmem_tools.observe.bpf.library import open_mapped_library
from hakmem_tools.observe.bpf.source import open_bpf
from hakmem_tools.observe.bpf_call import Attachment
from hakmem_tools.observe.counters import CountersSource

#: Whoever lists the links of the machine at that moment holds each for an instant.
NO_LINK = "the last link gone"


def held_by_another_test(row: Attachment) -> bool:
    """A process that is there and none of ours: sweeps count hits on the same library meanwhile."""
    told = re.search(r"pid (\d+)", row.holder)
    if told is None or not psutil.pid_exists(int(told[1])):
        return False
    ours = [os.getpid(), *(child.pid for child in psutil.Process().children(recursive=True))]
    return int(told[1]) not in ours


def left_over(pid: int) -> list[str]:
    """What the kernel still holds on our library: BPF links, perf events, tracefs uprobes."""
    with open_mapped_library(pid) as file:
        identity = file.identity
        offsets = [site.offset for site in file.sites]
    found = find_attached()
    rows = [
        repr(row)
        for offset in offsets
        for row in found.at(identity, offset)
        if not held_by_another_test(row)
    ]
    # tracefs need not be mounted here: a look in a mount namespace of its own disturbs nobody.
    root = "/sys/kernel/tracing"
    script = f"mount -t tracefs none {root} && cat {root}/uprobe_events"
    events = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return rows + [line for line in events.splitlines() if "hakmem" in line]


def bpftool_links() -> str:
    """All links that bpftool lists."""
    return subprocess.run(
        ["bpftool", "link", "show"], capture_output=True, text=True, check=True
    ).stdout


@pytest.fixture
def attached_trace(
    start: Callable[..., Any],
    trace: Callable[..., Any],
    sites: Callable[..., Any],
    until: Callable[..., None],
) -> tuple[Any, Any, Any]:
    """A workload, the trace on it, and the workload's probe sites; attached."""
    workload = start()
    memory = sites(workload)
    traced = trace("-p", workload.pid, "--event", "all")
    until(lambda: len(memory.attached()) == len(memory.sites), "every site attached")
    return workload, traced, memory


def test_ctrl_c_detaches_tells_the_summary_and_leaves_the_target_running(
    attached_trace: tuple[Any, Any, Any], until: Callable[..., None]
) -> None:
    workload, traced, memory = attached_trace
    workload.go()
    traced.process.send_signal(signal.SIGINT)
    assert traced.finish() == 130
    assert memory.attached() == set()
    until(lambda: left_over(workload.pid) == [], NO_LINK)
    assert traced.summary["counts"]["shared_fail"] > 500
    assert len(traced.events) == sum(traced.summary["counts"].values())
    assert workload.is_alive()


def test_kill_9_on_the_tracer_leaves_nothing_behind(
    attached_trace: tuple[Any, Any, Any], until: Callable[..., None]
) -> None:
    workload, traced, memory = attached_trace
    links = bpftool_links()
    traced.process.kill()
    traced.process.wait()
    until(lambda: memory.attached() == set(), "the kernel took the breakpoints off")
    until(lambda: left_over(workload.pid) == [], "links and uprobes gone")
    assert bpftool_links() != links
    workload.go()
    assert workload.is_alive()


def test_sigterm_detaches_too(
    attached_trace: tuple[Any, Any, Any], until: Callable[..., None]
) -> None:
    workload, traced, memory = attached_trace
    traced.process.send_signal(signal.SIGTERM)
    assert traced.finish() == 128 + signal.SIGTERM
    assert memory.attached() == set()
    until(lambda: left_over(workload.pid) == [], NO_LINK)
    assert workload.is_alive()


def test_a_reader_that_leaves_ends_the_trace_quietly(
    start: Callable[..., Any], trace: Callable[..., Any], sites: Callable[..., Any],
    until: Callable[..., None],
) -> None:  # fmt: skip
    workload = start()
    memory = sites(workload)
    traced = trace("-p", workload.pid, "--event", "shared_fail")
    until(lambda: "shared_fail" in memory.attached(), "attached")
    traced.process.stdout.close()
    workload.go()
    traced.process.wait(timeout=60)
    assert "Traceback" not in traced.process.stderr.read()
    until(lambda: memory.attached() == set(), "detached")


def test_the_end_of_the_target_ends_the_trace(attached_trace: tuple[Any, Any, Any]) -> None:
    workload, traced, _ = attached_trace
    workload.end()
    assert traced.finish() == 0
    assert traced.summary["event"] == "summary"


def test_the_number_of_events_ends_the_trace(
    start: Callable[..., Any], trace: Callable[..., Any], sites: Callable[..., Any],
    until: Callable[..., None],
) -> None:  # fmt: skip
    workload = start()
    memory = sites(workload)
    traced = trace("-p", workload.pid, "--event", "shared_fail", "-n", 5)
    until(lambda: "shared_fail" in memory.attached(), "attached")
    workload.go()
    assert traced.finish() == 0
    assert len(traced.events) == 5
    assert traced.summary["shown"] == 5
    assert traced.summary["counts"]["shared_fail"] >= 5
    assert memory.attached() == set()


def test_the_time_ends_the_trace(
    start: Callable[..., Any], trace: Callable[..., Any], until: Callable[..., None]
) -> None:
    workload = start()
    traced = trace("-p", workload.pid, "-d", 0.2)
    assert traced.finish() == 0
    assert traced.summary["duration_ns"] >= 200_000_000
    until(lambda: left_over(workload.pid) == [], NO_LINK)


def test_a_closed_source_leaves_nothing_in_its_own_process(
    start: Callable[..., Any], until: Callable[..., None]
) -> None:
    workload = start()
    source = open_bpf(workload.pid, CountersSource(workload.pid))
    assert left_over(workload.pid) != []
    source.close()
    source.close()
    until(lambda: left_over(workload.pid) == [], NO_LINK)


def test_another_process_of_the_same_library_does_not_meet_the_probes(
    start: Callable[..., Any], trace: Callable[..., Any], sites: Callable[..., Any],
    until: Callable[..., None],
) -> None:  # fmt: skip
    watched, other = start(), start()
    memory, others = sites(watched), sites(other)
    traced = trace("-p", watched.pid, "--event", "shared_fail")
    until(lambda: "shared_fail" in memory.attached(), "attached")
    assert others.attached() == set()
    other.go()
    watched.end()
    assert traced.finish() == 0
    assert traced.summary["counts"] == {"shared_fail": 0}
    assert traced.events == []
