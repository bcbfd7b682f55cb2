"""Each cell of the table of modes, by what a process does: counters, threads, words, not flags."""

from __future__ import annotations

import subprocess
import time

import msgspec
import pytest

from hakmem_tools.model.sites import SiteTable
from hakmem_tools.observe.counters import CountersSource
from hakmem_tools.observe.sites import read_sites
from tests.integration.learn.test_learning import BEST_IS_512K, COME_AND_GO, thread_names
from tests.integration.observe.puppet import INTERPRETER, clean_environment, library_path, puppet

MODES = ("minimal", "fast", "balanced", "learning", "research")
#: 2 MiB blocks that come and go; more of them at once than the BigCache keeps; small ones too.
#: Blocks of 2 MiB have headers of their own, so each is mapped where nothing is kept.
WORK = """
for _ in range(50): libc.free(libc.malloc(2 << 20))
blocks = [libc.malloc(2 << 20) for _ in range(100)]
for block in blocks: libc.free(block)
for size in (24, 100, 1000, 5000, 20000):
    for _ in range(30): libc.free(libc.malloc(size))
own = ctypes.CDLL(None)
own.hak_alloc_at.restype = ctypes.c_void_p
own.hak_alloc_at.argtypes = [ctypes.c_size_t, ctypes.c_size_t]
for _ in range(160): libc.free(own.hak_alloc_at(100, 4242))
"""
#: Needs more slots than class 7 may map; the shared pool fails, and legacy serves.
FAIL = (
    "import ctypes; libc = ctypes.CDLL(None); libc.malloc.restype = ctypes.c_void_p\n"
    "blocks = [libc.malloc(2000) for _ in range(2000)]"
)


class Facts(msgspec.Struct):
    scalars: dict[str, int]
    tiny: dict[str, int]
    mid_pushes: int
    threads: list[str]
    sites: SiteTable
    said: str


def observe(mode: str) -> Facts:
    environment = {
        "HAKMEM_MODE": mode,
        "HAKMEM_LEARN_WINDOW_MS": "10",
        "HAKMEM_LEARN_SHARE": "1",
        "HAKMEM_LOG": "off",
    }
    with puppet(env=environment) as process, CountersSource(process.pid) as source:
        process.do(f"{COME_AND_GO}\n{BEST_IS_512K}")
        process.do(WORK)
        end = time.monotonic() + 60
        while "hakmem-learner" in thread_names(process.pid) and time.monotonic() < end:
            process.do(BEST_IS_512K)
            counts = source.snapshot().scalars
            if counts["learn_windows"] > 1 and counts["learn_samples"] > 0:
                break
        snapshot = source.snapshot()
        return Facts(
            scalars=snapshot.scalars,
            tiny={
                name: sum(row.get(name) for row in snapshot.classes if row.tier == "tiny")
                for name in ("front_pops", "front_pushes", "direct_allocs")
            },
            mid_pushes=sum(
                row.get("front_pushes") for row in snapshot.classes if row.tier != "tiny"
            ),
            threads=thread_names(process.pid),
            sites=read_sites(source),
            said=words_of(mode),
        )


def words_of(mode: str) -> str:
    """What a program says whose class 7 runs into its cap."""
    environment = {
        "HAKMEM_MODE": mode, "HAKMEM_TINY_GEOMETRY": "pow2", "HAKMEM_TINY_CAP_C7": "1",
        "HAKMEM_SUPERSLAB_LG": "19",
        "LD_PRELOAD": str(library_path()),
    }  # fmt: skip
    done = subprocess.run(
        [INTERPRETER, "-c", FAIL], capture_output=True, text=True, check=True,
        env=clean_environment() | environment,
    )  # fmt: skip
    return done.stderr


@pytest.fixture(scope="module")
def facts() -> dict[str, Facts]:
    return {mode: observe(mode) for mode in MODES}


# ---- ELO / UCB1: off, frozen, frozen, learn, learn ----


def test_minimal_has_no_strategies(facts: dict[str, Facts]) -> None:
    scalars = facts["minimal"].scalars
    assert scalars["learn_state"] == 3
    assert (scalars["learn_windows"], scalars["learn_samples"]) == (0, 0)
    assert "hakmem-learner" not in facts["minimal"].threads


@pytest.mark.parametrize("mode", ["fast", "balanced"])
def test_a_frozen_mode_measures_nothing_and_starts_no_thread(
    facts: dict[str, Facts], mode: str
) -> None:
    scalars = facts[mode].scalars
    assert scalars["learn_state"] == 1
    assert (scalars["learn_windows"], scalars["learn_samples"]) == (0, 0)
    assert scalars["elo_rating_0"] == 0
    assert "hakmem-learner" not in facts[mode].threads


@pytest.mark.parametrize("mode", ["learning", "research"])
def test_a_learning_mode_deals_measures_and_rates(facts: dict[str, Facts], mode: str) -> None:
    scalars = facts[mode].scalars
    assert scalars["learn_windows"] > 0
    assert scalars["learn_samples"] > 0
    assert scalars["elo_rating_0"] > 0
    assert facts[mode].threads.count("hakmem-learner") == 1


# ---- BigCache, batched madvise: off, on, on, on, on ----


def test_minimal_never_hits_the_bigcache_and_never_batches(facts: dict[str, Facts]) -> None:
    scalars = facts["minimal"].scalars
    assert scalars["bigcache_hits"] == scalars["bigcache_bytes"] == 0
    assert scalars["batch_blocks"] == scalars["batch_flushes"] == 0
    assert scalars["big_maps"] >= 150
    assert scalars["big_unmaps"] >= 150


@pytest.mark.parametrize("mode", MODES[1:])
def test_every_other_mode_hits_the_bigcache_and_batches_what_it_lets_go(
    facts: dict[str, Facts], mode: str
) -> None:
    scalars = facts[mode].scalars
    assert scalars["bigcache_hits"] >= 49
    assert scalars["batch_blocks"] > 0


# ---- TLS front and pools: off, on, on, on, on ----


def test_minimal_keeps_nothing_in_a_thread(facts: dict[str, Facts]) -> None:
    tiny = facts["minimal"].tiny
    assert tiny["front_pops"] == tiny["front_pushes"] == 0
    assert tiny["direct_allocs"] > 0
    assert facts["minimal"].mid_pushes == 0


@pytest.mark.parametrize("mode", MODES[1:])
def test_every_other_mode_serves_from_fronts(facts: dict[str, Facts], mode: str) -> None:
    tiny = facts[mode].tiny
    assert tiny["front_pops"] > 10 * tiny["direct_allocs"]
    assert tiny["front_pushes"] > 0
    assert facts[mode].mid_pushes > 0


# ---- call-site table, sampling: off, off, on (sampled), on, on ----


@pytest.mark.parametrize("mode", ["minimal", "fast"])
def test_modes_without_sites_keep_no_table_and_take_no_samples(
    facts: dict[str, Facts], mode: str
) -> None:
    assert facts[mode].sites.missing
    assert facts[mode].sites.sites == ()
    assert facts[mode].scalars["samples"] == 0


def test_balanced_takes_one_labelled_call_in_sixteen_and_samples(facts: dict[str, Facts]) -> None:
    site = next(row for row in facts["balanced"].sites.sites if row.address == 4242)
    assert (site.count, site.estimated) == (160, True)
    assert site.count % 16 == 0
    assert facts["balanced"].scalars["samples"] > 0


@pytest.mark.parametrize("mode", ["learning", "research"])
def test_learning_modes_take_every_labelled_call_and_sample(
    facts: dict[str, Facts], mode: str
) -> None:
    site = next(row for row in facts[mode].sites.sites if row.address == 4242)
    assert (site.count, site.estimated) == (160, False)
    assert facts[mode].scalars["samples"] > 0


# ---- debug log: off, off, off, warnings, on ----


@pytest.mark.parametrize("mode", ["minimal", "fast", "balanced"])
def test_quiet_modes_say_nothing(facts: dict[str, Facts], mode: str) -> None:
    assert facts[mode].said == ""


def test_learning_warns_and_tells_no_decisions(facts: dict[str, Facts]) -> None:
    said = facts["learning"].said
    assert "hakmem: shared_fail class=7 reason=1" in said
    assert "superslab_map" not in said
    assert "policy_publish" not in said


def test_research_tells_decisions_too(facts: dict[str, Facts]) -> None:
    said = facts["research"].said
    assert "hakmem: shared_fail class=7 reason=1" in said
    assert "hakmem: superslab_map address=" in said
    assert "hakmem: policy_publish version=1" in said
