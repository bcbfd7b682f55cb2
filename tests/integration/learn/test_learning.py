"""The learner thread in real processes: it converges, looks again after a shift, and does no harm.

The best threshold is known by the sizes: blocks of 260 to 500 KiB come and go, which a pool serves
best while the BigCache is off, and blocks above 512 KiB are asked for zeroed, which a mapping does
best since its pages are. So the arm at 512 KiB is the best: any other takes half as long again.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from hakmem_tools.observe.counters import CountersSource
from tests.integration.observe.puppet import Puppet, puppet

LEARN, FROZEN, CANARY, OFF = 0, 1, 2, 3
LIMIT_S = 90.0  # a test that needs more has hung
ENVIRONMENT = {
    "HAKMEM_MODE": "learning",
    "HAKMEM_LOG": "off",
    "HAKMEM_LEARN_WINDOW_MS": "20",
    "HAKMEM_LEARN_SEED": "7",
    "HAKMEM_LEARN_SHARE": "1",
    "HAKMEM_CANARY_FRAC": "0.25",
    "HAKMEM_BIGCACHE": "0",
    "HAKMEM_BATCH": "0",
}
COME_AND_GO = """
def come_and_go(low_kib, high_kib, times):
    for size in range(low_kib << 10, high_kib << 10, ((high_kib - low_kib) << 10) // times):
        libc.free(libc.malloc(size))
libc.realloc.restype = ctypes.c_void_p
libc.realloc.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
libc.calloc.restype = ctypes.c_void_p
libc.calloc.argtypes = [ctypes.c_size_t, ctypes.c_size_t]
def zeroed(times):
    for size in range(520 << 10, 1000 << 10, (480 << 10) // times):
        libc.free(libc.calloc(1, size))
def small(times):
    for _ in range(times): libc.free(libc.malloc(3000))
"""
BEST_IS_512K = "come_and_go(260, 500, 400); zeroed(100)"
BEST_IS_1M_UP = "come_and_go(260, 1000, 600)"
STILL_1M_UP = "come_and_go(700, 1000, 200); small(2000)"  # mapped below 1 MiB, pooled from there on


@contextlib.contextmanager
def learning(**environment: str) -> Iterator[tuple[Puppet, CountersSource]]:
    with puppet(env=ENVIRONMENT | environment) as process:
        process.do(COME_AND_GO)
        with CountersSource(process.pid) as source:
            yield process, source


def run_until(
    process: Puppet, source: CountersSource, work: str, done: Callable[[dict[str, int]], bool]
) -> dict[str, int]:
    """Runs `work` again and again until the counters say that it is done; the counters."""
    end = time.monotonic() + LIMIT_S
    while time.monotonic() < end:
        process.do(work)
        counts = source.snapshot().scalars
        if done(counts):
            return counts
    raise AssertionError(f"not done after {LIMIT_S} s: {counts}")


def is_frozen(counts: dict[str, int]) -> bool:
    return counts["learn_windows"] > 0 and counts["learn_state"] == FROZEN


def thread_names(pid: int) -> list[str]:
    return sorted(
        open(f"/proc/{pid}/task/{tid}/comm").read().strip()
        for tid in os.listdir(f"/proc/{pid}/task")
    )


@pytest.mark.parametrize("start", ["64K", "128K", "256K", "512K", "1M", "2M"])
def test_it_converges_on_the_best_threshold_from_every_arm(start: str) -> None:
    with learning(HAKMEM_LEARN_START=start) as (process, source):
        counts = run_until(process, source, BEST_IS_512K, is_frozen)
        assert counts["learn_arm"] == 3, counts
        threshold = next(row for row in source.knobs() if row.knob.name == "mmap_threshold")
        assert threshold.value == 512 << 10
        assert counts["learn_samples"] > 0
        assert source.snapshot().policy_version > 1


def test_a_shifted_workload_brings_canaries_that_confirm_the_new_best() -> None:
    with learning() as (process, source):
        run_until(process, source, BEST_IS_512K, is_frozen)
        counts = run_until(
            process,
            source,
            BEST_IS_1M_UP,
            lambda now: now["learn_confirmed"] > 0 and now["learn_arm"] >= 4,
        )
        assert counts["learn_arm"] in (4, 5)


def test_a_shift_that_leaves_the_best_as_it_is_is_rolled_back() -> None:
    with learning(HAKMEM_FREEZE_SEC="1") as (process, source):  # two arms are equally good
        before = run_until(process, source, BEST_IS_1M_UP, is_frozen)
        assert before["learn_arm"] in (4, 5)
        counts = run_until(process, source, STILL_1M_UP, lambda now: now["learn_rolled_back"] >= 2)
        assert counts["learn_arm"] in (4, 5)


def test_frozen_requests_are_neither_dealt_nor_measured() -> None:
    with learning() as (process, source):
        frozen = run_until(process, source, BEST_IS_512K, is_frozen)["learn_windows"]
        # What was under way when it froze is counted in the window after.
        before = run_until(
            process, source, BEST_IS_512K, lambda now: now["learn_windows"] > frozen + 2
        )
        after = run_until(
            process, source, BEST_IS_512K, lambda now: now["learn_windows"] > frozen + 10
        )
        assert before["learn_state"] == after["learn_state"] == FROZEN
        assert after["learn_samples"] == before["learn_samples"]


def test_only_modes_that_learn_start_a_thread() -> None:
    for mode, state in (("minimal", OFF), ("fast", FROZEN), ("balanced", FROZEN)):
        with puppet(env={"HAKMEM_MODE": mode}) as process:
            process.do(f"{COME_AND_GO}\nfor _ in range(3): come_and_go(1, 2000, 500)")
            assert "hakmem-learner" not in thread_names(process.pid)
            with CountersSource(process.pid) as source:
                counts = source.snapshot().scalars
            assert (counts["learn_state"], counts["learn_windows"]) == (state, 0)
    with learning() as (process, source):
        run_until(process, source, BEST_IS_512K, lambda now: now["learn_windows"] > 0)
        assert thread_names(process.pid).count("hakmem-learner") == 1


def test_a_forked_child_gets_a_learner_of_its_own() -> None:
    with learning() as (process, source):
        run_until(process, source, BEST_IS_512K, lambda now: now["learn_windows"] > 0)
        process.do(
            "ready = os.pipe()\nparent = os.getpid()\nchild = os.fork()\n"
            "if child == 0:\n"
            "    os.write(ready[1], b'r')\n"
            f"    while os.getppid() == parent: {BEST_IS_512K}\n"
            "    os._exit(0)\n"
            "os.read(ready[0], 1)"
        )
        child = int(process.ask("child"))
        with CountersSource(child) as own:
            first = own.snapshot().scalars["learn_windows"]
            end = time.monotonic() + LIMIT_S
            while own.snapshot().scalars["learn_windows"] < first + 3:
                assert time.monotonic() < end
                time.sleep(0.01)
            assert thread_names(child).count("hakmem-learner") == 1
        os.kill(child, signal.SIGKILL)
        process.do("os.waitpid(child, 0)")


def test_a_process_ends_when_its_last_own_thread_does() -> None:
    """The learner does not keep alive a program whose main thread has left by pthread_exit."""
    with learning() as (process, source):
        run_until(process, source, BEST_IS_512K, lambda now: now["learn_windows"] > 0)
        assert process.process.stdin is not None
        process.process.stdin.write('"libc.pthread_exit(None)"\n')
        process.process.stdin.flush()
        assert process.process.wait(timeout=LIMIT_S) == 0


def test_a_learner_that_does_not_get_on_leaves_the_last_policy() -> None:
    """Its window never ends here. Dealing pauses when the window's allowance is used up."""
    with learning(HAKMEM_LEARN_WINDOW_MS="60000") as (process, source):
        run_until(process, source, BEST_IS_512K, lambda _: source.snapshot().policy_version >= 3)
        for _ in range(50):
            process.do(BEST_IS_512K)
        now = source.snapshot()
        assert (now.policy_version, now.scalars["learn_windows"]) == (3, 0)


def test_a_program_whose_thread_limit_is_reached_runs_without_a_learner() -> None:
    script = "import resource; resource.setrlimit(resource.RLIMIT_AS, (1 << 28, 1 << 28))"
    with learning() as (process, source):
        process.do(script)
        process.do(BEST_IS_512K)
        assert source.snapshot().pid == process.pid
