"""A profile of programs whose allocator has no probes: the same numbers, within a budget."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hakmem_tools.model.profile import Profile
from hakmem_tools.observe.attached import find_attached
from hakmem_tools.observe.bpf import profile_open
from hakmem_tools.observe.bpf.any_functions import find_allocator
from hakmem_tools.observe.proc import Process
from hakmem_tools.observe.profile_source import ProfileRequest
from hakmem_tools.observe.profiler import open_profile
from tests.integration.bpf.profiling import (
    ASKED,
    KEPT,
    Sites,
    build,
    by_site,
    lies_within,
    profile_of,
    running,
)

LIBRARIES = Path("/usr/lib/x86_64-linux-gnu")
ALLOCATORS = {
    "glibc": "",
    "jemalloc": str(LIBRARIES / "libjemalloc.so.2"),
    "mimalloc": str(LIBRARIES / "libmimalloc.so.2"),
    "tcmalloc": str(LIBRARIES / "libtcmalloc_minimal.so.4"),
}
SAMPLE_BYTES = 20_000
UNBOUNDED = 1000.0  # nothing here may depend on how busy the machine is


@pytest.fixture(scope="module")
def binary() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="hakmem-test-") as directory:
        yield build("sites.c", Path(directory))


def environment(allocator: str) -> dict[str, str]:
    path = ALLOCATORS[allocator]
    if path and not os.path.exists(path):
        pytest.skip(f"{path} is not installed")
    return {"LD_PRELOAD": path}


def request_of(sites: Sites, budget: float = UNBOUNDED) -> ProfileRequest:
    return ProfileRequest(
        pid=sites.pid, allocator="any", sample_bytes=SAMPLE_BYTES, budget=budget, faults=False
    )


def record(sites: Sites) -> Profile:
    source = open_profile(request_of(sites))
    try:
        sites.go()
        records, end = source.end("tested")
        return profile_of([source.header, *records, end])
    finally:
        source.close()


@pytest.mark.parametrize("allocator", ALLOCATORS)
def test_estimates_of_each_site_lie_around_what_it_asked_for_and_kept(
    binary: Path, allocator: str
) -> None:
    with running(binary, environment(allocator)) as sites:
        profile = record(sites)
    cumulative, live = by_site(profile, "cumulative"), by_site(profile, "live")
    for site, asked in ASKED.items():
        assert lies_within(cumulative[site], asked), site
    for site, kept in KEPT.items():
        assert lies_within(live[site], kept), site
    assert live.keys() == KEPT.keys()
    assert profile.lost == {}


def test_without_session_links_the_numbers_are_the_same(
    binary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(profile_open, "has_session_uprobes", lambda: False)
    with running(binary, environment("jemalloc")) as sites:
        profile = record(sites)
    cumulative, live = by_site(profile, "cumulative"), by_site(profile, "live")
    for site, asked in ASKED.items():
        assert lies_within(cumulative[site], asked), site
    for site, kept in KEPT.items():
        assert lies_within(live[site], kept), site


@pytest.mark.parametrize("allocator", ALLOCATORS)
def test_the_allocator_s_file_is_found_and_every_busy_function_has_a_cheap_place(
    binary: Path, allocator: str
) -> None:
    with running(binary, environment(allocator)) as sites, Process(sites.pid) as process:
        found = find_allocator(process)
    os.close(found.descriptor)
    expected = os.path.realpath(ALLOCATORS[allocator]) if ALLOCATORS[allocator] else "libc.so.6"
    assert os.path.basename(found.name) == os.path.basename(expected)
    places = {name: place for place in found.places for name in place.names}
    assert places["malloc"].emulated
    assert places["free"].emulated


def test_a_busy_program_is_watched_in_windows_and_the_rest_of_the_time_is_told_missing(
    binary: Path,
) -> None:
    with running(binary, environment("glibc"), turns=10_000_000) as sites:
        assert sites.process.stdin is not None
        sites.process.stdin.write("\n")
        sites.process.stdin.flush()
        source = open_profile(request_of(sites, budget=0.005))
        try:
            for _ in range(200):  # of its own waits, until it had to pause
                source.wait(0.02)
                if not attached_to(source.header.pid):
                    break
            assert not attached_to(source.header.pid)
            _, end = source.end("tested")
        finally:
            source.close()
    assert any("of the time: watching stopped" in sentence for sentence in end.missing)
    assert any(sentence.startswith("frees between the windows") for sentence in end.missing)


def attached_to(pid: int) -> list[str]:
    """Uprobes of ours on any function of the process's libc, as the kernel lists them."""
    mine = f"(pid {os.getpid()})"
    return [repr(row) for row in find_attached().attachments if row.holder.endswith(mine)]


def test_a_closed_source_leaves_nothing_attached(binary: Path) -> None:
    with running(binary, environment("glibc")) as sites:
        source = open_profile(request_of(sites))
        assert attached_to(sites.pid) != []
        source.close()
        source.close()
        assert attached_to(sites.pid) == []
        sites.go()
