"""A learner thread that stands still, as after a crash of its own: the program does not notice.

The thread alone is stopped, by ptrace, while it waits for the end of a window.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import time
from collections.abc import Iterator
from pathlib import Path

from hakmem_tools.observe.live_knobs import set_knob
from tests.integration.learn.test_learning import (
    BEST_IS_512K,
    LIMIT_S,
    is_frozen,
    learning,
    run_until,
)
from tests.integration.learn.test_pins import EVERYTHING, knob

SEIZE, INTERRUPT, CONTINUE, DETACH = 0x4206, 0x4207, 7, 17
WALL = 0x40000000  # waitpid: threads too
NANOSLEEPS = {35, 230}  # nanosleep, clock_nanosleep
_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


def ptrace(request: int, tid: int) -> None:
    if _libc.ptrace(request, tid, None, None) != 0:
        raise OSError(ctypes.get_errno(), "ptrace")


def learner_of(pid: int) -> int:
    tasks = Path(f"/proc/{pid}/task")
    return next(
        int(task.name)
        for task in tasks.iterdir()
        if (task / "comm").read_text().strip() == "hakmem-learner"
    )


@contextlib.contextmanager
def stopped_while_it_sleeps(pid: int, tid: int) -> Iterator[None]:
    """Stops the thread between two windows; one that is at work is let go and stopped again."""
    ptrace(SEIZE, tid)
    end = time.monotonic() + LIMIT_S
    while True:
        ptrace(INTERRUPT, tid)
        os.waitpid(tid, WALL)
        call = Path(f"/proc/{pid}/task/{tid}/syscall").read_text().split()[0]
        if call.isdigit() and int(call) in NANOSLEEPS:
            break
        assert time.monotonic() < end
        ptrace(CONTINUE, tid)
    try:
        yield
    finally:
        ptrace(DETACH, tid)


def test_a_stopped_learner_leaves_the_last_policy_and_tools_are_answered() -> None:
    with learning() as (process, source):
        run_until(process, source, BEST_IS_512K, is_frozen)
        with stopped_while_it_sleeps(process.pid, learner_of(process.pid)):
            before = source.snapshot()
            for _ in range(20):
                process.do(f"{BEST_IS_512K}\n{EVERYTHING}")
            after = source.snapshot()
            assert after.policy_version == before.policy_version
            assert after.scalars["learn_windows"] == before.scalars["learn_windows"]
            assert knob(source, "mmap_threshold").value == 512 << 10
            process.do(  # the program's own slow paths take requests up
                "import threading\nrunning = True\n"
                "def work():\n"
                "    while running:\n"
                "        blocks = [libc.malloc(n * 61) for n in range(1, 300)]\n"
                "        for block in blocks: libc.free(block)\n"
                "worker = threading.Thread(target=work)\nworker.start()"
            )
            assert set_knob(source, "front_refill=16", wait_s=20).answered
            process.do("running = False\nworker.join()")
        windows = after.scalars["learn_windows"]
        run_until(process, source, BEST_IS_512K, lambda now: now["learn_windows"] > windows)


def test_a_learner_stopped_while_it_deals_ends_its_dealing_and_the_program_runs() -> None:
    with learning() as (process, source):
        run_until(process, source, BEST_IS_512K, lambda now: now["learn_samples"] > 0)
        with stopped_while_it_sleeps(process.pid, learner_of(process.pid)):
            before = source.snapshot().scalars["learn_windows"]
            for _ in range(30):
                process.do(BEST_IS_512K)
            assert source.snapshot().scalars["learn_windows"] == before
            assert source.snapshot().scalars["integrity_errors"] == 0
