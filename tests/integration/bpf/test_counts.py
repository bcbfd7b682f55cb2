"""Three who count the same hits agree: the trace, the counters page and bpftrace."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from hakmem_tools.native.library import Library
from hakmem_tools.observe.attached import find_attached
from hakmem_tools.observe.bpf.generate import Purpose
from hakmem_tools.observe.bpf.library import open_mapped_library
from hakmem_tools.observe.bpf.source import open_bpf
from hakmem_tools.observe.bpf.watch import Watch
from hakmem_tools.observe.counters import CountersSource


def totals(pid: int) -> dict[str, int]:
    """The page's own counts of what the probes fire for."""
    with CountersSource(pid) as page:
        snapshot = page.snapshot()
    return {
        "shared_fail": snapshot.total("shared_fail"),
        "refill": snapshot.total("refills"),
        "drain": snapshot.total("drains"),
        "stage_hit": sum(sum(row.stages.values()) for row in snapshot.classes),
        "superslab_map": snapshot.total("superslab_maps"),
    }


def difference(after: dict[str, int], before: dict[str, int]) -> dict[str, int]:
    return {name: after[name] - before[name] for name in after}


def test_trace_page_and_bpftrace_count_the_same_hits_of_one_run(
    start: Callable[..., Any],
    trace: Callable[..., Any],
    until: Callable[..., None],
    library: Library,
) -> None:
    workload = start(threads=3)
    with open_mapped_library(workload.pid) as file:
        identity = file.identity
        offset = next(site.offset for site in file.sites if site.name == "shared_fail")
    before = totals(workload.pid)
    traced = trace("-p", workload.pid, "--event", "shared_fail,stage_hit")
    program = f"usdt:{library.path}:hakmem:shared_fail {{ @count = count(); }}"
    other = subprocess.Popen(
        ["bpftrace", "-q", "-p", str(workload.pid), "-e", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        pids = {traced.process.pid, other.pid}

        def both_attached() -> bool:
            holders = " ".join(row.holder for row in find_attached().at(identity, offset))
            return all(re.search(rf"\b{pid}\b", holders) for pid in pids)

        until(both_attached, "both tools attached")
        workload.go()
        counted = difference(totals(workload.pid), before)
        workload.end()
        assert traced.finish() == 0
        said, complaints = other.communicate(timeout=60)
    finally:
        other.kill()
        other.wait()
    found = re.search(r"@count: (\d+)", said)
    assert found is not None, complaints
    assert counted["shared_fail"] > 1000
    assert int(found[1]) == counted["shared_fail"]
    assert traced.summary["counts"] == {
        "shared_fail": counted["shared_fail"],
        "stage_hit": counted["stage_hit"],
    }
    assert traced.summary["lost"] == 0
    assert Counter(event["event"] for event in traced.events) == traced.summary["counts"]


def test_each_event_carries_class_reason_active_cap_and_thread(
    start: Callable[..., Any], trace: Callable[..., Any], sites: Callable[..., Any],
    until: Callable[..., None],
) -> None:  # fmt: skip
    workload = start(threads=2)
    memory = sites(workload)
    traced = trace("-p", workload.pid, "--event", "shared_fail")
    until(lambda: memory.attached() == {"shared_fail"}, "attached")
    workload.go()
    workload.end()
    assert traced.finish() == 0
    assert traced.events
    for event in traced.events:
        assert (event["class"], event["reason"], event["cap"]) == (7, "soft_cap", 3)
        assert event["active"] >= 3
        assert event["pid"] == workload.pid
        assert event["comm"] == "workload"
        assert event["schema_version"] == 1
    assert len({event["tid"] for event in traced.events}) == 2
    times = [event["time_ns"] for event in traced.events]
    assert times == sorted(times)


def test_a_started_command_is_counted_from_its_first_instruction_on(
    workload_binary: Any, trace: Callable[..., Any], exhausted: dict[str, str]
) -> None:
    """The startup's own hits are in: the first SuperSlab is mapped before main()."""
    settings = [word for name, value in exhausted.items() for word in ("--set", f"{name}={value}")]
    traced = trace("--event", "all", *settings, "--", workload_binary, 1009, 1000, 1, 0, "now")
    assert traced.finish() == 0
    kinds = [event["event"] for event in traced.events]
    assert kinds[0] == "policy_publish"
    assert "superslab_map" in kinds
    counts = traced.summary["counts"]
    assert counts["shared_fail"] > 500
    assert Counter(kinds) == {name: n for name, n in counts.items() if n}


@pytest.mark.parametrize("tier", ["uprobe_multi", "perf_uprobe"])
def test_both_tiers_count_what_the_page_counts(start: Callable[..., Any], tier: Any) -> None:
    workload = start(threads=2)
    page = CountersSource(workload.pid)
    names = frozenset(("shared_fail", "refill", "drain", "stage_hit", "superslab_map"))
    before = totals(workload.pid)
    with open_bpf(workload.pid, page, streamed=names, tier=tier) as source:
        assert source.tier == tier
        workload.go()
        expected = difference(totals(workload.pid), before)
        accounts = source.watch.detach()
        events = source.events(0)
    assert accounts.counts == expected
    assert Counter(event.event for event in events) == expected
    assert accounts.cost.hits == sum(expected.values())


def test_counts_by_class_and_stage_are_those_of_the_page(start: Callable[..., Any]) -> None:
    workload = start(threads=2)
    page = CountersSource(workload.pid)
    before = page.snapshot()
    with open_bpf(workload.pid, page) as source:
        workload.go()
        delta = source.snapshot().delta(before)
        rows = [row for row in source.accounts().classes if row.event == "stage_hit"]
    kernel = {(row.size_class, row.code_text): row.hits for row in rows}
    shown = {
        (row.index, stage): hits
        for row in delta.classes
        for stage, hits in row.stages.items()
        if hits
    }
    assert kernel == shown


def test_counts_stay_exact_when_the_ring_is_full_and_what_was_lost_is_said(
    start: Callable[..., Any],
) -> None:
    workload = start()
    before = totals(workload.pid)
    with CountersSource(workload.pid) as page, open_mapped_library(workload.pid) as library:
        purpose = Purpose(
            counted=frozenset(),
            streamed=frozenset(("shared_fail",)),
            pid=workload.pid,
            ring_bytes=4096,
        )
        with Watch(library, page.descriptors, purpose) as watch:
            workload.go()
            accounts = watch.detach()
            shown = len(watch.events(0))
    hits = difference(totals(workload.pid), before)["shared_fail"]
    assert accounts.counts == {"shared_fail": hits}
    assert accounts.lost.events == {"shared_fail": hits - shown}
    assert 0 < shown < hits


def test_the_source_marks_its_snapshots_and_misses_nothing(start: Callable[..., Any]) -> None:
    workload = start()
    with open_bpf(workload.pid, CountersSource(workload.pid)) as source:
        workload.go()
        snapshot = source.snapshot()
        events = source.events(30)
    assert snapshot.source == "bpf"
    assert snapshot.missing == ()
    assert snapshot.lost == 0
    assert {event.event for event in events} >= {"shared_fail"}
    assert {event.texts.get("reason") for event in events} >= {"soft_cap"}


def test_the_kernel_measures_the_programs_own_time(start: Callable[..., Any]) -> None:
    workload = start()
    with open_bpf(workload.pid, CountersSource(workload.pid)) as source:
        workload.go()
        cost = source.accounts().cost
    assert cost.program_ns is not None
    assert cost.program_ns > 0
    low, high = cost.overhead_range_ns
    assert low < cost.overhead_ns < high
