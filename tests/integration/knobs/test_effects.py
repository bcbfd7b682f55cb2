"""Knobs that change what a process does and have no room of their own in the tests."""

from __future__ import annotations

import subprocess

from hakmem_tools.observe.counters import CountersSource
from tests.integration.observe.puppet import INTERPRETER, clean_environment, library_path, puppet

PREAMBLE = (
    "import ctypes, os, signal; libc = ctypes.CDLL(None); libc.malloc.restype = ctypes.c_void_p; "
    "libc.malloc.argtypes = [ctypes.c_size_t]; libc.free.argtypes = [ctypes.c_void_p]\n"
)


def run(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [INTERPRETER, "-c", PREAMBLE + script], capture_output=True, text=True, check=False,
        env=clean_environment() | environment | {"LD_PRELOAD": str(library_path())},
    )  # fmt: skip


def test_the_ring_of_events_is_dumped_on_sigusr2() -> None:
    done = run(
        "for _ in range(5): libc.free(libc.malloc(5 << 20))\nos.kill(os.getpid(), signal.SIGUSR2)",
        HAKMEM_TRACE_RING="1",
    )
    assert done.returncode == 0
    lines = done.stderr.splitlines()
    assert all(line.startswith("hakmem: ring ") for line in lines)
    assert sum("bigcache_get bytes=5242880" in line for line in lines) >= 5
    numbers = [int(line.split()[2]) for line in lines]
    assert numbers == sorted(numbers)


def test_without_the_ring_sigusr2_does_what_it_always_did() -> None:
    assert run("os.kill(os.getpid(), signal.SIGUSR2)").returncode == -12


def test_a_programs_own_handler_of_sigusr2_stays() -> None:
    script = "signal.signal(signal.SIGUSR2, lambda *_: print('own'))\n"
    done = run(script + "os.kill(os.getpid(), signal.SIGUSR2)", HAKMEM_TRACE_RING="1")
    assert (done.stdout, done.stderr) == ("own\n", "")


def test_debug_knobs_tell_each_event_of_theirs_and_no_other() -> None:
    script = "blocks = [libc.malloc(2000) for _ in range(500)]"
    acquired = run(script, HAKMEM_DEBUG_ACQUIRE="1").stderr.splitlines()
    assert len(acquired) > 10
    assert all(line.startswith("hakmem: stage_hit class=") for line in acquired)
    mapped = run(script, HAKMEM_DEBUG_SUPERSLAB="1").stderr.splitlines()
    assert mapped
    assert all(line.startswith("hakmem: superslab_map address=0x") for line in mapped)


def test_site_rules_keep_blocks_of_large_infrequent_sites_out_of_the_bigcache() -> None:
    work = "for _ in range(60): libc.free(libc.malloc(3 << 20))"
    hits = {}
    for rules in ("0", "1"):
        with puppet(env={"HAKMEM_SITE_RULES": rules}) as process:
            process.do(work)
            with CountersSource(process.pid) as source:
                hits[rules] = source.snapshot().scalars["bigcache_hits"]
    assert hits["0"] >= 59
    assert hits["1"] <= 20  # until its purpose is known


def test_safe_free_tells_wild_pointers_from_foreign_memory() -> None:
    """The event of a bad free says in `got` whether anything is mapped there; nobody reads it."""
    script = "libc.free(ctypes.c_void_p({}))"
    wild = run(script.format("0x10"), HAKMEM_SAFE_FREE="1", HAKMEM_LOG="warnings")
    static = run(
        script.format("ctypes.cast(libc.malloc, ctypes.c_void_p).value & ~15"),
        HAKMEM_SAFE_FREE="1", HAKMEM_LOG="warnings",
    )  # fmt: skip
    assert (wild.returncode, static.returncode) == (0, 0)
    assert "integrity kind=2 address=16 got=0" in wild.stderr
    assert "got=1" in static.stderr


USABLE = """
libc.realloc.restype = ctypes.c_void_p
libc.realloc.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
libc.malloc_usable_size.argtypes = [ctypes.c_void_p]
def usable(first, then): return libc.malloc_usable_size(libc.realloc(libc.malloc(first), then))
print(usable(100, 1000), usable(100, 40_000), usable(100, 900_000), usable(50_000, 20_000))
"""


def test_blocks_that_realloc_moves_get_the_room_to_spare_that_the_knob_gives() -> None:
    plain = [int(word) for word in run(USABLE, HAKMEM_REALLOC_SLACK="0").stdout.split()]
    roomy = [int(word) for word in run(USABLE, HAKMEM_REALLOC_SLACK="0.5").stdout.split()]
    assert 1000 <= plain[0] < 1300 < 1500 <= roomy[0] < 1900
    assert 40_000 <= plain[1] < 50_000 < 60_000 <= roomy[1] < 75_000
    assert roomy[2:] == plain[2:]  # it would be Big; and what shrinks needs no room


KPI = """
class Kpi(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int64) for name in
                ("operations", "p50", "p95", "p99", "minor", "major", "rss", "rss_delta")]
libc.hak_get_kpi.argtypes = [ctypes.POINTER(Kpi)]
kpi = Kpi()
assert libc.hak_get_kpi(kpi) == 0 and kpi.rss_delta == 0
before = kpi.minor
blocks = [libc.malloc(3 << 20) for _ in range(640)]
for block in blocks[:20]: ctypes.memset(block, 1, 3 << 20)
assert libc.hak_get_kpi(kpi) == 0
print(*(getattr(kpi, name) for name, _ in Kpi._fields_), kpi.minor - before)
"""


def test_key_figures_are_of_the_process_and_latencies_of_modes_that_sample() -> None:
    for mode, timed in (("balanced", True), ("learning", True), ("minimal", False)):
        words = run(KPI, HAKMEM_MODE=mode, HAKMEM_THP="off", HAKMEM_LOG="off").stdout.split()
        operations, p50, p95, p99, _, _, rss, delta, faults = (int(word) for word in words)
        assert rss > delta > 50 << 20
        assert faults > 1000
        assert (operations >= 10) == timed
        assert (0 < p50 <= p95 <= p99) if timed else p50 == p95 == p99 == 0
