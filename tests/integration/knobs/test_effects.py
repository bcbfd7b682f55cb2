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
