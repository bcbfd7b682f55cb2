"""A profile from the library's own probes: estimates of known sites, and what is joined to them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from hakmem_tools.model.profile import Profile
from hakmem_tools.model.profile_records import CAUSES
from hakmem_tools.native.library import Library
from hakmem_tools.observe.bpf import profile
from hakmem_tools.observe.bpf.library import open_mapped_library
from hakmem_tools.observe.bpf.profile import open_probe_profile
from hakmem_tools.observe.bpf.profile_program import ProfileLimits
from hakmem_tools.observe.counters import CountersSource
from hakmem_tools.observe.profile_header import describe_process
from hakmem_tools.observe.profile_source import ProfileRequest
from hakmem_tools.observe.profiler import open_profile
from hakmem_tools.observe.sampling_distance import distance_when_heard
from hakmem_tools.observe.source import SourceUnavailable
from tests.integration.bpf.profiling import (
    ASKED,
    KEPT,
    TURNS,
    Sites,
    build,
    by_site,
    lies_within,
    profile_of,
    running,
)

SAMPLE_BYTES = 20_000
CODE_OF = {word: code for code, word in CAUSES.items()}


@pytest.fixture(scope="module")
def binary() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="hakmem-test-") as directory:
        yield build("sites.c", Path(directory))


@contextmanager
def under_hakmem(
    binary: Path, library: Library, turns: int = TURNS, **settings: str
) -> Iterator[Sites]:
    preload = {"LD_PRELOAD": str(library.path), "HAKMEM_SAMPLE_BYTES": str(SAMPLE_BYTES)}
    with running(binary, {**preload, **settings}, turns) as sites:
        yield sites


@pytest.fixture(scope="module")
def recorded(binary: Path, library: Library) -> Profile:
    """All turns of one run, with a tick in the middle of nothing and one at the end."""
    with under_hakmem(binary, library) as sites:
        source = open_profile(ProfileRequest(pid=sites.pid))
        try:
            first = [source.header, *source.poll()]
            sites.go()
            second = list(source.poll())
            third, end = source.end("tested")
        finally:
            source.close()
        return profile_of(first, second, [*third, end])


def test_the_estimated_bytes_of_each_site_lie_around_what_it_asked_for(recorded: Profile) -> None:
    amounts = by_site(recorded, "cumulative")
    for site, asked in ASKED.items():
        if site != "grow":
            assert lies_within(amounts[site], asked), site
    # A block that grows where it lies is not allocated anew.
    assert 0 < amounts["grow"].weighted < ASKED["grow"]


def test_live_bytes_are_those_that_were_not_freed(recorded: Profile) -> None:
    amounts = by_site(recorded, "live")
    for site, kept in KEPT.items():
        if site != "grow":
            assert lies_within(amounts[site], kept), site
    assert "drop" not in amounts
    assert amounts.get("sweep") is None


def test_a_block_that_is_freed_at_once_is_temporary(recorded: Profile) -> None:
    amounts = by_site(recorded, "temporary")
    assert lies_within(amounts["drop"], ASKED["drop"])
    assert "keep" not in amounts


def test_stacks_lead_from_the_site_to_main_without_a_frame_of_the_allocator(
    recorded: Profile,
) -> None:
    chains = {
        tuple(frame.name for frame in recorded.stack_frames(stack))[:3]
        for stack in {key.stack for key in recorded.keys.values()}
    }
    assert {("keep", "turn", "main"), ("grow", "turn", "main")} <= chains
    modules = {module.path for module in recorded.modules.values()}
    assert not any("libhakmem" in path for path in modules)


@pytest.mark.parametrize("allocator", ["hakmem", "any"])
def test_stacks_lead_to_main_where_nobody_keeps_a_frame_pointer(
    library: Library, allocator: str, until: Callable[..., None]
) -> None:
    preload = {"LD_PRELOAD": str(library.path), "HAKMEM_SAMPLE_BYTES": str(SAMPLE_BYTES)}
    request = ProfileRequest(0, allocator, SAMPLE_BYTES, budget=1000.0, faults=False)
    with (
        tempfile.TemporaryDirectory(prefix="hakmem-test-") as directory,
        running(
            build("bare.c", Path(directory), "-O2", "-fomit-frame-pointer"),
            preload if allocator == "hakmem" else {},
            turns=0,
        ) as bare,
    ):
        source = open_profile(msgspec.structs.replace(request, pid=bare.pid))
        try:
            records = [source.header, *source.poll()]
            told = Profile.of(records)

            def has_samples() -> bool:
                fresh = list(source.poll())
                records.extend(fresh)
                for record in fresh:
                    told.add(record)
                return sum(a.samples for a in told.amounts("cumulative").values()) >= 20

            until(has_samples, "samples")
        finally:
            source.close()
        named = profile_of(records)
    chain = ("innermost", "with_room", "wide", "main")
    stacks = {key.stack for key in named.keys.values()}
    found = {tuple(f.name for f in named.stack_frames(stack))[:4] for stack in stacks}
    assert found == {chain}
    assert not any(named.stacks[stack].truncated for stack in stacks)


def test_each_sample_says_its_class_and_how_it_was_served(recorded: Profile) -> None:
    words = recorded.header.paths
    served: dict[str, set[str]] = {}
    for key in recorded.keys.values():
        assert key.path in words
        frames = recorded.stack_frames(key.stack)
        served.setdefault(frames[0].name if frames else "?", set()).add(words[key.path])
        if key.size_class is not None and key.size_class in recorded.header.classes:
            assert recorded.header.classes[key.size_class] >= 1
    assert served["sweep"] <= {"bigcache", "map"}
    assert served["keep"].isdisjoint({"bigcache", "map"})
    assert recorded.header.sample_bytes == SAMPLE_BYTES


def test_every_page_fault_inside_a_large_block_belongs_to_the_site_that_allocated_it(
    recorded: Profile,
) -> None:
    faults = [row for row in recorded.caused() if row.cause == CODE_OF["page_fault"]]
    if not faults:
        assert any("page faults" in sentence for sentence in recorded.missing)
        pytest.skip("this kernel has no tracepoint for page faults")
    by_block = [row for row in faults if row.size_class is not None or row.count >= 512]
    names = {recorded.stack_frames(row.stack)[0].name for row in by_block}
    assert "sweep" in names
    assert sum(row.count for row in faults) >= 512


def test_the_time_of_a_madvise_belongs_to_the_site_whose_call_set_it_off(
    binary: Path, library: Library
) -> None:
    # Nothing is kept: each big block that is freed goes into the batch, which is full then.
    knobs = {"HAKMEM_FREE_POLICY": "batch", "HAKMEM_BIGCACHE": "0", "HAKMEM_BATCH_COUNT": "1"}
    with under_hakmem(binary, library, **knobs) as sites:
        source = open_profile(ProfileRequest(pid=sites.pid, faults=False))
        try:
            sites.go()
            records, end = source.end("tested")
        finally:
            source.close()
    told = profile_of([source.header, *records, end])
    advised = [row for row in told.caused() if row.cause == CODE_OF["madvise"]]
    assert advised
    assert {told.stack_frames(row.stack)[0].name for row in advised} == {"sweep"}
    assert sum(row.duration_ns for row in advised) > 0
    assert sum(row.size_bytes for row in advised) >= 2 << 20


def test_nothing_is_lost_and_the_end_says_what_it_cost(recorded: Profile) -> None:
    assert recorded.lost == {}
    assert recorded.end is not None
    assert recorded.end.reason == "tested"
    assert recorded.end.overhead_ns is not None
    assert recorded.end.overhead_ns > 0


def test_a_map_that_is_too_small_loses_samples_that_are_counted(
    binary: Path, library: Library
) -> None:
    with under_hakmem(binary, library) as sites:
        header = describe_process(sites.pid, "hakmem", SAMPLE_BYTES, "bpf")
        with open_mapped_library(sites.pid) as file:
            limits = ProfileLimits(live=64)
            source = open_probe_profile(file, header, None, faults=False, limits=limits)
        with source:
            sites.go()
            kept = profile_of([source.header, *source.poll()])
            seen = source._kernel.sums.seen()
    samples = sum(amount.samples for amount in kept.amounts("cumulative").values())
    assert set(kept.lost) == {"no room among the blocks in use"}
    assert samples + sum(kept.lost.values()) == seen["seen_samples"]
    live = sum(amount.samples for amount in kept.amounts("live").values())
    assert live <= 64


def test_without_multi_links_the_numbers_are_the_same_and_the_slow_end_is_told(
    binary: Path, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(profile, "choose_tier", lambda: "perf_uprobe")
    with under_hakmem(binary, library) as sites:
        source = open_profile(ProfileRequest(pid=sites.pid, faults=False))
        try:
            sites.go()
            records, end = source.end("tested")
        finally:
            source.close()
    amounts = by_site(profile_of([source.header, *records, end]), "live")
    for site in ("keep", "keep_zeroed", "keep_aligned"):
        assert lies_within(amounts[site], KEPT[site]), site
    assert any("detaching" in sentence for sentence in end.missing)


def test_blocks_of_the_time_before_are_no_blocks_freed(binary: Path, library: Library) -> None:
    with under_hakmem(binary, library) as sites:
        sites.go()
        with open_profile(ProfileRequest(pid=sites.pid)) as source:  # type: ignore[attr-defined]
            later = profile_of([source.header, *source.poll(live=True)])
    assert later.amounts("live") == {}
    assert later.amounts("freed") == {}


def test_a_process_that_samples_nothing_is_refused_with_the_knob_to_set(
    binary: Path, library: Library
) -> None:
    with (
        under_hakmem(binary, library, HAKMEM_SAMPLE_BYTES="0") as sites,
        pytest.raises(SourceUnavailable, match="HAKMEM_SAMPLE_BYTES"),
    ):
        open_profile(ProfileRequest(pid=sites.pid))


def test_a_process_that_samples_nothing_can_be_let_to_while_the_profile_lasts(
    binary: Path, library: Library
) -> None:
    def distance(pid: int) -> int:
        with CountersSource(pid) as page:
            return distance_when_heard(page)

    # One that never stops: a process changes its knobs while it allocates.
    with under_hakmem(binary, library, turns=0, HAKMEM_SAMPLE_BYTES="0") as sites:
        source = open_profile(ProfileRequest(pid=sites.pid, sample_bytes=SAMPLE_BYTES))
        try:
            assert source.header.sample_bytes == distance(sites.pid) == SAMPLE_BYTES
        finally:
            source.close()
        assert distance(sites.pid) == 0


def test_a_process_without_the_probes_is_told_of_the_other_way(binary: Path) -> None:
    with (
        running(binary, {}) as sites,
        pytest.raises(SourceUnavailable, match="--allocator any"),
    ):
        open_profile(ProfileRequest(pid=sites.pid))
