"""Programs in hard places run to their end under libhakmem: tests/programs/*.c.

Each program checks itself (see program.h) and prints "ok"; here it is compiled, put into its place
(limits, knobs, geometry) and its end is judged, with the library's own count of broken invariants.
"""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.integration.compiled import FLAGS, compiled, counters, without_report
from tests.integration.preload import LIBRARY, LIMIT_S, clean_environment, preloaded_environment

PROGRAMS = Path(__file__).resolve().parents[1] / "programs"
GEOMETRIES = ("fine", "pow2")


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    assert LIBRARY.is_file(), f"{LIBRARY} is not there: run `make build` first"
    return tmp_path_factory.mktemp("programs")


def built(name: str, directory: Path, *flags: str) -> Path:
    target = directory / name
    return target if target.exists() else compiled(PROGRAMS / f"{name}.c", directory, *flags)


def passes(
    argv: list[str | Path],
    knobs: Mapping[str, str] | None = None,
    *,
    space_mib: int | None = None,
) -> dict[str, int]:
    """Runs a program under the library; returns the library's counters at its end."""

    def limit_address_space() -> None:
        if space_mib is not None:
            resource.setrlimit(resource.RLIMIT_AS, (space_mib << 20, space_mib << 20))

    ended = subprocess.run(
        [str(word) for word in argv],
        env=preloaded_environment() | {"HAKMEM_STATS": "counters"} | dict(knobs or {}),
        capture_output=True,
        timeout=LIMIT_S,
        preexec_fn=limit_address_space,
        check=False,
    )
    told = without_report(ended.stderr)
    assert (ended.returncode, ended.stdout) == (0, b"ok\n"), told[-3000:]
    count = counters(ended.stderr)
    assert count, f"no report: was the library loaded? {told[-500:]}"
    assert count.get("integrity_errors", 0) == 0, ended.stderr.decode()[:500]
    assert count.get("foreign_frees", 0) == 0
    return count


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_nothing_too_much_and_every_alignment_are_served_or_refused(
    directory: Path, geometry: str
) -> None:
    passes([built("edges", directory)], {"HAKMEM_TINY_GEOMETRY": geometry})


def test_the_edges_hold_without_fronts_and_caches_too(directory: Path) -> None:
    passes([built("edges", directory)], {"HAKMEM_MODE": "minimal"})


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_calloc_gives_zeros_where_the_kernel_takes_no_pages_back(
    directory: Path, geometry: str
) -> None:
    knobs = {"HAKMEM_PURGE_IDLE_MS": "50", "HAKMEM_TINY_GEOMETRY": geometry}
    passes([built("locked_memory", directory)], knobs)


@pytest.mark.parametrize("bytes_each", [64, 1000, 6000, 100_000, 600_000, 3_000_000])
@pytest.mark.parametrize("space_mib", [64, 128, 300])
def test_a_limit_on_address_space_is_used_and_survived(
    directory: Path, space_mib: int, bytes_each: int
) -> None:
    program = built("short_of_memory", directory)
    passes([program, "50", str(bytes_each)], space_mib=space_mib)


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("order", [1, -1])
def test_what_one_tier_has_freed_serves_all_others_when_space_is_short(
    directory: Path, order: int, geometry: str
) -> None:
    sizes = ("64", "3000000", "1000", "100000", "2048", "6000", "600000", "500")[::order]
    program = built("short_of_memory", directory)
    passes([program, "40", *sizes], {"HAKMEM_TINY_GEOMETRY": geometry}, space_mib=200)


@pytest.mark.parametrize("mode", ["balanced", "learning"])
def test_a_forked_child_of_a_threaded_program_goes_on(directory: Path, mode: str) -> None:
    passes([built("fork_in_threads", directory)], {"HAKMEM_MODE": mode})


@pytest.mark.parametrize("mode", ["balanced", "learning"])
def test_fork_handlers_may_allocate_whatever_their_order(directory: Path, mode: str) -> None:
    passes([built("atfork_handlers", directory)], {"HAKMEM_MODE": mode})


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_thousands_of_short_lived_threads_leave_no_memory_behind(
    directory: Path, geometry: str
) -> None:
    count = passes([built("short_threads", directory)], {"HAKMEM_TINY_GEOMETRY": geometry})
    assert count["threads_started"] == 5001
    assert count["threads_ended"] == 5000


@pytest.mark.parametrize("knob", ["HAKMEM_TINY_SS_ADOPT", "HAKMEM_MUST_ADOPT"])
def test_short_lived_threads_leave_nothing_behind_without_adoption(
    directory: Path, knob: str
) -> None:
    passes([built("short_threads", directory)], {knob: "0"})


def test_constructors_and_thread_local_destructors_may_allocate(directory: Path) -> None:
    count = passes([built("thread_ends", directory)])
    assert count["threads_ended"] == 1500


def test_shared_objects_are_loaded_and_unloaded_in_threads(directory: Path) -> None:
    plugin = compiled(PROGRAMS / "plugin.c", directory, *FLAGS, "-fPIC", "-shared")
    passes([built("load_and_unload", directory), plugin])


def test_the_library_can_be_opened_beside_another_malloc(directory: Path) -> None:
    program = built("load_hakmem", directory)
    ended = subprocess.run(
        [program, LIBRARY],
        env=clean_environment(),
        capture_output=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (0, b"ok\n"), ended.stderr.decode()


def test_signals_that_interrupt_malloc_leave_everything_as_it_was(directory: Path) -> None:
    passes([built("signals", directory)])


def test_a_handler_may_allocate_at_any_instruction_of_the_fast_path(directory: Path) -> None:
    passes([built("signal_steps", directory)])


def test_a_handler_may_allocate_at_any_instruction_of_the_slow_paths(directory: Path) -> None:
    counters = passes([built("signal_slow_steps", directory)])
    assert counters["nested_allocs"] > 100
    assert counters.get("integrity_errors", 0) == 0


def test_the_programs_themselves_are_right(directory: Path) -> None:
    """With the C library's malloc: what fails here is the program, not the allocator."""
    for name in ("edges", "fork_in_threads", "atfork_handlers", "thread_ends", "signals"):
        ended = subprocess.run(
            [built(name, directory)],
            env=clean_environment(),
            capture_output=True,
            timeout=LIMIT_S,
            check=False,
        )
        assert (ended.returncode, ended.stdout) == (0, b"ok\n"), (name, ended.stderr.decode())


def test_every_program_is_run_by_a_test() -> None:
    text = "".join(test.read_text() for test in Path(__file__).parent.glob("test_*.py"))
    for source in PROGRAMS.glob("*.c"):
        assert f'"{source.stem}' in text, f"{os.fspath(source)} is run by no test"
