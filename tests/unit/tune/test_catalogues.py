"""Knobs of real allocators: what is known, what is in force, and what is refused."""

from __future__ import annotations

import ctypes.util
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hakmem_tools.model.descriptors import Knob
from hakmem_tools.model.trial import Arm
from hakmem_tools.tune import catalogues, loader
from hakmem_tools.tune.plan import Plan

BASE = {"PATH": os.environ["PATH"]}


def library(name: str) -> str:
    """A peer allocator of this machine; the test is skipped where it is not installed."""
    found = ctypes.util.find_library(name)
    if found is None:
        pytest.skip(f"{name} is not installed here")
    return found


def reason(env: dict[str, str], program: str = "/bin/true") -> str:
    return catalogues.verify_arm(Arm("x", env), {**BASE, **env}, program, None)


def test_glibc_tunables_come_from_the_loader_with_their_ranges() -> None:
    knobs = catalogues.catalogue("glibc", BASE)
    assert "glibc.malloc.arena_max" in knobs
    assert knobs["glibc.malloc.check"].maximum == 3


def test_a_glibc_tunable_in_force_passes_and_others_say_why_not() -> None:
    assert reason({"GLIBC_TUNABLES": "glibc.malloc.tcache_count=3"}) == ""
    assert "did you mean glibc.malloc.arena_max" in reason(
        {"GLIBC_TUNABLES": "glibc.malloc.arena_mx=3"}
    )
    assert "in force" in reason({"GLIBC_TUNABLES": "glibc.malloc.check=9"})


def test_a_glibc_tunable_that_malloc_drops_although_the_loader_lists_it_is_refused() -> None:
    for name, good, bad in (("tcache_count", 65535, 65536), ("mmap_threshold", 1 << 25, 1 << 26)):
        assert reason({"GLIBC_TUNABLES": f"glibc.malloc.{name}={good}"}) == ""
        assert "glibc ignores it" in reason({"GLIBC_TUNABLES": f"glibc.malloc.{name}={bad}"})


def test_a_glibc_malloc_tunable_does_nothing_under_another_allocator() -> None:
    env = {"LD_PRELOAD": library("jemalloc"), "GLIBC_TUNABLES": "glibc.malloc.tcache_count=3"}
    assert "replaces glibc's malloc" in reason(env)


def test_jemalloc_options_are_read_back() -> None:
    preload = library("jemalloc")
    assert reason({"LD_PRELOAD": preload, "MALLOC_CONF": "dirty_decay_ms:123,narenas:2"}) == ""
    unknown = reason({"LD_PRELOAD": preload, "MALLOC_CONF": "dirty_decay:1"})
    assert "has no knob 'dirty_decay'; did you mean dirty_decay_ms?" in unknown
    assert "jemalloc 5." in unknown
    assert "in force" in reason({"LD_PRELOAD": preload, "MALLOC_CONF": "dirty_decay_ms:-9"})


def test_options_of_an_allocator_that_is_not_loaded_are_refused() -> None:
    assert "loads jemalloc" in reason({"MALLOC_CONF": "narenas:2"})
    assert "loads mimalloc" in reason({"MIMALLOC_PURGE_DELAY": "2"})


def test_mimalloc_options_are_those_of_the_version_that_is_loaded() -> None:
    preload = library("mimalloc")
    knobs = catalogues.catalogue("mimalloc", {**BASE, "LD_PRELOAD": preload})
    name, knob = next((n, k) for n, k in knobs.items() if n.endswith(("page_reset", "os_tag")))
    assert reason({"LD_PRELOAD": preload, f"MIMALLOC_{name.upper()}": knob.value}) == ""
    assert "has no knob 'bananas'" in reason({"LD_PRELOAD": preload, "MIMALLOC_BANANAS": "1"})


MIMALLOC_3 = """v3.4.3, release
option 'verbose': 1
option 'purge_delay': 77
option 'deprecated_page_reset': 0
option 'arena_reserve': 1048576 KiB
"""
MIMALLOC_2 = """mimalloc: option 'page_reset': 1
mimalloc: option 'decommit_delay': 25
"""


def test_mimalloc_2_and_3_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = [catalogues.Setting("mimalloc", "MIMALLOC_PAGE_RESET", "page_reset", "1")]
    size = [catalogues.Setting("mimalloc", "MIMALLOC_ARENA_RESERVE", "arena_reserve", "1GiB")]
    monkeypatch.setattr(loader, "run_quietly", lambda command, env: MIMALLOC_3)
    third = catalogues._asked("mimalloc", BASE, "x")
    assert third.who == "mimalloc 3.4.3"
    assert "no longer has page_reset" in catalogues._compare(asked, third)
    assert catalogues._compare(size, third) == ""
    monkeypatch.setattr(loader, "run_quietly", lambda command, env: MIMALLOC_2)
    assert catalogues._compare(asked, catalogues._asked("mimalloc", BASE, "x")) == ""


def test_tcmalloc_variables_are_known_from_the_library_and_read_back_where_it_can() -> None:
    preload = library("tcmalloc_minimal")
    good = {"TCMALLOC_MAX_TOTAL_THREAD_CACHE_BYTES": str(8 << 20), "TCMALLOC_RELEASE_RATE": "5"}
    assert reason({"LD_PRELOAD": preload, **good}) == ""
    assert "does not read it; did you mean TCMALLOC_RELEASE_RATE" in reason(
        {"LD_PRELOAD": preload, "TCMALLOC_RELEASE_RAT": "5"}
    )
    plan = Plan(
        command=("/bin/true",), arms=(Arm("a", {}), Arm("b", {"LD_PRELOAD": preload, **good}))
    )
    notes = catalogues.verify(plan, BASE).notes
    assert any("TCMALLOC_RELEASE_RATE" in note and "read back" in note for note in notes)


def test_a_library_that_cannot_be_preloaded_refuses_its_arm_only() -> None:
    plan = Plan(
        command=("/bin/true",), arms=(Arm("a", {}), Arm("b", {"LD_PRELOAD": "/no/such/lib.so"}))
    )
    refused = catalogues.verify(plan, BASE).refused
    assert list(refused) == ["b"]
    assert "/no/such/lib.so" in refused["b"]
    assert "\n" not in refused["b"]


def test_a_script_is_checked_with_the_machines_own_loader(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\nexit 0\n")
    script.chmod(0o755)
    assert reason({"GLIBC_TUNABLES": "glibc.malloc.tcache_count=3"}, str(script)) == ""


class FakeSpace:
    """A library that refuses every value above 9."""

    def knobs(self) -> Sequence[Knob]:
        return ()

    def refusal(self, asked: Mapping[str, str], env: Mapping[str, str]) -> str:
        high = [f"{name}={value}: 9 is in force" for name, value in asked.items() if int(value) > 9]
        return high[0] if high else ""


@pytest.mark.parametrize(("value", "part"), [("1", ""), ("70", "9 is in force")])
def test_libhakmems_knobs_are_checked_through_its_knob_space(value: str, part: str) -> None:
    env = {"HAKMEM_SS_EMPTY_REUSE": value}
    found = catalogues.verify_arm(Arm("x", env), {**BASE, **env}, "/bin/true", FakeSpace())
    assert part in found
    assert bool(part) == bool(found)


def test_without_the_library_its_knobs_are_noted_as_unchecked() -> None:
    plan = Plan(command=("true",), arms=(Arm("a", {}), Arm("b", {"HAKMEM_X": "1"})))
    found = catalogues.verify(plan, BASE)
    assert found.refused == {}
    assert "not read back" in found.notes[0]


@given(st.integers(-(10**9), 10**9))
def test_a_number_means_the_same_in_decimal_and_hexadecimal(number: int) -> None:
    assert catalogues.same_value(str(number), hex(number))
    assert catalogues.same_value(str(number), str(number + 1)) is False


@pytest.mark.parametrize(
    ("left", "right"), [("true", "1"), ("off", "0"), ("1MiB", "1024K"), ("auto", "AUTO")]
)
def test_spellings_of_one_value_agree(left: str, right: str) -> None:
    assert catalogues.same_value(left, right)
