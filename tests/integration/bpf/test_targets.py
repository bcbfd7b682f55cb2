"""Targets of every kind: children, containers, replaced libraries, other operands, no privilege."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hakmem_tools.native.library import Library

HAKMEM = Path(sys.executable).with_name("hakmem")
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


def settings(knobs: dict[str, str]) -> list[str]:
    return [word for name, value in knobs.items() for word in ("--set", f"{name}={value}")]


def exhausting(knobs: dict[str, str], workload_binary: Path) -> list[Any]:
    """The words that trace a workload whose refills fail from the start."""
    words = [workload_binary, 1009, 1000, 1, 0, "now"]
    return ["--event", "shared_fail", *settings(knobs), "--", *words]


def test_a_forked_child_is_another_process_unless_children_are_asked_for(
    start: Callable[..., Any], trace: Callable[..., Any], sites: Callable[..., Any],
    until: Callable[..., None],
) -> None:  # fmt: skip
    workload = start(threads=0, children=2)
    memory = sites(workload)
    traced = trace("-p", workload.pid, "--event", "shared_fail")
    until(lambda: traced.holds_probes() and "shared_fail" in memory.attached(), "attached")
    workload.go()
    workload.end()
    assert traced.finish() == 0
    assert traced.summary["counts"] == {"shared_fail": 0}


def test_with_children_all_hits_of_the_family_are_counted_and_each_has_its_pid(
    start: Callable[..., Any], trace: Callable[..., Any], sites: Callable[..., Any],
    until: Callable[..., None],
) -> None:  # fmt: skip
    workload, stranger = start(threads=1, children=2), start()
    memory = sites(workload)
    traced = trace("-p", workload.pid, "--event", "shared_fail", "--children")
    until(lambda: traced.holds_probes() and "shared_fail" in memory.attached(), "attached")
    stranger.go()
    workload.go()
    workload.end()
    assert traced.finish() == 0
    pids = [event["pid"] for event in traced.events]
    assert len(set(pids)) == 3
    assert stranger.pid not in pids
    assert len(pids) == traced.summary["counts"]["shared_fail"]
    counts = sorted(pids.count(pid) for pid in set(pids))
    assert counts[0] > 500


def test_a_shells_child_is_followed_from_the_start(
    trace: Callable[..., Any], workload_binary: Path, exhausted: dict[str, str]
) -> None:
    command = f"{workload_binary} 1009 1000 1 0 now; true"
    traced = trace(
        "--children", "--event", "shared_fail", *settings(exhausted), "--", "sh", "-c", command
    )
    assert traced.finish() == 0
    assert traced.summary["counts"]["shared_fail"] > 500
    assert {event["comm"] for event in traced.events} == {"workload"}


def test_in_a_pid_namespace_of_its_own_the_tool_sees_its_own_numbers(
    trace: Callable[..., Any], workload_binary: Path, exhausted: dict[str, str]
) -> None:
    prefix = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
    traced = trace(*exhausting(exhausted, workload_binary), prefix=prefix)
    assert traced.finish() == 0, traced.errors
    assert traced.summary["counts"]["shared_fail"] > 500
    assert len(traced.events) == traced.summary["counts"]["shared_fail"]
    assert {event["pid"] for event in traced.events} == {traced.summary["pid"]}
    assert traced.summary["pid"] < 1000


def test_a_library_that_was_replaced_on_disk_is_still_the_one_attached_to(
    start: Callable[..., Any], trace: Callable[..., Any], sites: Callable[..., Any],
    until: Callable[..., None], library: Library, tmp_path: Path,
) -> None:  # fmt: skip
    copy = tmp_path / "libhakmem.so"
    shutil.copy(library.path, copy)
    workload = start(lib=copy)
    memory = sites(workload)
    (tmp_path / "other.so").write_bytes(b"not the library any more")
    (tmp_path / "other.so").replace(copy)
    traced = trace("-p", workload.pid, "--event", "shared_fail")
    until(lambda: traced.holds_probes() and "shared_fail" in memory.attached(), "attached")
    workload.go()
    workload.end()
    assert traced.finish() == 0
    assert traced.summary["counts"]["shared_fail"] > 500


def test_a_process_without_a_page_is_traced_when_its_library_is_our_build(
    start: Callable[..., Any], trace: Callable[..., Any], sites: Callable[..., Any],
    until: Callable[..., None],
) -> None:  # fmt: skip
    workload = start(HAKMEM_PAGE="0")
    memory = sites(workload)
    traced = trace("-p", workload.pid, "--event", "shared_fail", "-n", 1)
    until(lambda: traced.holds_probes() and "shared_fail" in memory.attached(), "attached")
    workload.go()
    assert traced.finish() == 0, traced.errors
    assert traced.events[0]["reason"] == "soft_cap"


def test_stacks_lead_from_the_probe_into_the_program(
    trace: Callable[..., Any], workload_binary: Path, exhausted: dict[str, str]
) -> None:
    traced = trace(
        "--event",
        "shared_fail",
        "--stack",
        *settings(exhausted),
        "--",
        workload_binary,
        1009,
        1000,
        1,
        0,
        "now",
    )
    assert traced.finish() == 0
    events = [event for event in traced.events if event["stack"]]
    assert len(events) == len(traced.events)
    functions = [frame["function"] for frame in events[-1]["stack"]]
    assert functions[0] == "hak_probe_shared_fail"
    assert "work" in functions
    frame = events[-1]["stack"][functions.index("work")]
    assert frame["module"] == str(workload_binary)
    assert frame["offset"] > 0


def one_line(traced: Any) -> str:
    """The message: one line that is no traceback."""
    lines = [line for line in traced.errors.splitlines() if line]
    assert len(lines) == 1, traced.errors
    assert lines[0].startswith("hakmem: ")
    return str(lines[0])


def test_without_privilege_one_line_says_what_would_do(trace: Callable[..., Any]) -> None:
    # Root without capabilities: nobody may not enter every checkout.
    traced = trace("--", "true", prefix=("setpriv", "--bounding-set=-all", "--inh-caps=-all"))
    assert traced.finish() == 4
    assert "CAP_BPF and CAP_PERFMON" in one_line(traced)


def test_two_capabilities_are_enough(
    trace: Callable[..., Any], workload_binary: Path, exhausted: dict[str, str]
) -> None:
    if subprocess.run([*NOBODY, "test", "-x", HAKMEM, "-a", "-x", workload_binary]).returncode:
        pytest.skip("another user may not enter this checkout")
    prefix = (*NOBODY, "--inh-caps=+bpf,+perfmon", "--ambient-caps=+bpf,+perfmon")
    traced = trace(*exhausting(exhausted, workload_binary), prefix=prefix)
    assert traced.finish() == 0, traced.errors
    assert traced.summary["counts"]["shared_fail"] > 500


def test_a_library_without_probes_is_refused_before_anything_starts(
    trace: Callable[..., Any], library: Library, tmp_path: Path
) -> None:
    bare = tmp_path / "libhakmem.so"
    subprocess.run(["objcopy", "--remove-section=.note.stapsdt", library.path, bare], check=True)
    traced = trace("--lib", bare, "--event", "shared_fail", "--", "true")
    assert traced.finish() == 4
    assert "has no probe shared_fail" in one_line(traced)


def test_a_wrong_event_is_answered_with_near_names_before_the_program_starts(
    trace: Callable[..., Any], tmp_path: Path
) -> None:
    traced = trace("--event", "shared_fial", "--", "touch", tmp_path / "started")
    assert traced.finish() == 2
    assert "did you mean shared_fail" in one_line(traced)
    assert not (tmp_path / "started").exists()


def test_a_process_without_libhakmem_is_refused(trace: Callable[..., Any]) -> None:
    other = subprocess.Popen(["sleep", "600"])
    try:
        traced = trace("-p", other.pid)
        assert traced.finish() == 4
        assert "start it with `hakmem run -- COMMAND`" in one_line(traced)
    finally:
        other.kill()
        other.wait()


def test_a_pid_that_nobody_has_is_a_usage_error(trace: Callable[..., Any]) -> None:
    traced = trace("-p", 2**22 + 1)
    assert traced.finish() == 2
    one_line(traced)


def test_a_command_that_is_not_there_is_told_as_a_shell_would(trace: Callable[..., Any]) -> None:
    traced = trace("--", "/no/such/program")
    assert traced.finish() == 127
    assert "/no/such/program: no such command" in one_line(traced)


def test_a_program_that_allocates_nothing_has_no_events_and_that_is_no_error(
    trace: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "main.c").write_text("int main(void) { return 0; }\n")
    subprocess.run(["gcc", "-o", tmp_path / "idle", tmp_path / "main.c"], check=True)
    traced = trace("--event", "shared_fail", "--", tmp_path / "idle")
    assert traced.finish() == 0
    assert traced.summary["counts"] == {"shared_fail": 0}


def test_a_static_program_that_never_maps_the_library_is_said_to(
    trace: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "main.c").write_text("int main(void) { return 0; }\n")
    subprocess.run(["gcc", "-static", "-o", tmp_path / "static", tmp_path / "main.c"], check=True)
    traced = trace("--event", "shared_fail", "--", tmp_path / "static")
    assert traced.finish() == 4
    assert "never mapped libhakmem" in traced.errors


@pytest.mark.parametrize("words", [("-d", 0), ("-n", 0), ("-n", "x")])
def test_a_number_out_of_range_is_a_usage_error(
    trace: Callable[..., Any], words: tuple[object, ...]
) -> None:
    traced = trace(*words, "--", "true")
    assert traced.finish() == 2
    one_line(traced)


def test_a_file_that_exists_is_not_overwritten_unasked(
    trace: Callable[..., Any], tmp_path: Path
) -> None:
    path = tmp_path / "kept.json"
    path.write_text("mine")
    traced = trace("-o", path, "--", "true")
    assert traced.finish() == 2
    assert "--force" in one_line(traced)
    assert path.read_text() == "mine"
    assert trace("-o", path, "--force", "--", "true").finish() == 0
    assert '"event":"summary"' in path.read_text()
