"""What profiles cost a process, within one run of that process; beside them heaptrack and memleak.

    .venv/bin/python -m bench.profile_share redis|random_mixed [--rounds N] [--seconds S]

Two processes with the same work live through the whole run, one under libhakmem and one on glibc,
and only the one that is measured runs. In each round, windows of it alternate in an order drawn
anew: nobody there, nobody again (A/A), and with a tool attached. heaptrack cannot be taken off: it
gets a process of its own in each round. A window's figure is the target's CPU time for an
operation, both read at one instant, so that neither memory layout nor start-up differ between
windows, and what else runs on the machine hits all of them. Ratios are to the mean of the round's
two windows without a tool; their median comes with a 95 % bootstrap interval. Needs root; a tool
that is not installed is left out and said to be.
"""

from __future__ import annotations

import argparse
import mmap
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from bench.profile_cost import (
    LIBRARY,
    ROOT,
    Arm,
    cpu_ns,
    ended,
    interval,
    started,
    stopped_after,
    until,
    usable,
    watched,
)
from hakmem_tools.observe.counters import CountersSource
from hakmem_tools.observe.live_knobs import set_knob
from hakmem_tools.observe.profile_source import ProfileRequest
from hakmem_tools.observe.profiler import open_profile

SAMPLE_BYTES = 524_288
SETTLE_S = 1.0
#: What `--allocator any` may take is kept over seconds, not within each.
BUDGET_S = 4.0
GLIBC = "/lib/x86_64-linux-gnu/libc.so.6"

#: What is done to a target in a window, by the allocator under it; the first two are references.
OWN = ("sampling off", "A/A: sampling off again", "sampling on, nobody attached",
       "hakmem profile attached")  # fmt: skip
ANY = ("glibc, nobody attached", "A/A: glibc again", "--allocator any attached",
       "memleak attached")  # fmt: skip
HEAPTRACK = "heaptrack, a process each"


class Target(NamedTuple):
    """A process and its load. `read` gives its CPU nanoseconds and operations at one instant."""

    pid: int
    read: Callable[[], tuple[float, int]]
    load: tuple[subprocess.Popen[bytes], ...]

    def signal(self, number: signal.Signals) -> None:
        """To all that works."""
        for pid in (self.pid, *(process.pid for process in self.load)):
            os.kill(pid, number)


@contextmanager
def running(target: Target) -> Iterator[None]:
    """It works in here, and rests otherwise."""
    target.signal(signal.SIGCONT)
    try:
        yield
    finally:
        target.signal(signal.SIGSTOP)


def window(target: Target, seconds: float, wait: Callable[[float], None] = time.sleep) -> float:
    """CPU nanoseconds for an operation, over so many seconds."""
    cpu, count = target.read()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        wait(0.05)
    cpu_after, count_after = target.read()
    return (cpu_after - cpu) / max(1, count_after - count)


# ---- targets ----


@contextmanager
def steps(directory: Path, environment: Mapping[str, str], watcher: str = "") -> Iterator[Target]:
    """profile_steps.c."""
    program, file = directory / "profile_steps", directory / f"steps-{os.urandom(4).hex()}"
    if not program.exists():
        source = ROOT / "bench/profile_steps.c"
        subprocess.run(["gcc", "-O2", "-g", "-fno-builtin", "-o", program, source], check=True)
    with launched([str(program), str(file)], environment, watcher, directory) as pid:
        until(lambda: file.exists() and file.stat().st_size == 8, "the count of steps")
        with file.open("rb") as opened, mmap.mmap(opened.fileno(), 8, prot=mmap.PROT_READ) as count:
            until(lambda: int.from_bytes(count[:8], "little") > 0, "a step")
            yield Target(pid, lambda: (cpu_ns(pid), int.from_bytes(count[:8], "little")), ())


@contextmanager
def redis(directory: Path, environment: Mapping[str, str], watcher: str = "") -> Iterator[Target]:
    """redis-server, kept busy by redis-benchmark on another processor."""
    path = str(directory / f"redis-{os.urandom(4).hex()}.sock")
    server = ["redis-server", "--port", "0", "--unixsocket", path, "--save", ""]
    load = ["-n", "1000000000", "-c", "20", "-P", "16", "-d", "700", "-r", "10000", "-q"]
    with ExitStack() as stack:
        pid = stack.enter_context(
            launched([*server, "--dir", str(directory)], environment, watcher, directory)
        )
        until(lambda: os.path.exists(path), "redis")
        client = subprocess.Popen(
            ["redis-benchmark", "-s", path, *load, "-t", "set"], stdout=subprocess.DEVNULL
        )
        stack.enter_context(ended(client))
        stack.callback(lambda: resumed(client.pid))
        processors = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(pid, processors[:1])
        os.sched_setaffinity(client.pid, processors[-1:])
        asked = stack.enter_context(socket.socket(socket.AF_UNIX))
        asked.connect(path)
        yield Target(pid, lambda: told_by(asked), (client,))


def told_by(asked: socket.socket) -> tuple[float, int]:
    """CPU time and commands, from one answer of the server itself."""
    asked.sendall(b"INFO\r\n")
    answer = asked.recv(1 << 16)
    length, _, rest = answer.partition(b"\r\n")
    while len(rest) < int(length[1:]) + 2:
        rest += asked.recv(1 << 16)
    rows = dict(row.split(":", 1) for row in rest.decode().splitlines() if ":" in row)
    seconds = float(rows["used_cpu_user"]) + float(rows["used_cpu_sys"])
    return 1e9 * seconds, int(rows["total_commands_processed"])


@contextmanager
def launched(
    command: list[str], environment: Mapping[str, str], watcher: str, directory: Path
) -> Iterator[int]:
    """A target as a child of ours, or of its watcher; ended in the end, stopped or not."""
    with open(os.devnull, "wb") as nowhere:
        arm = Arm(watcher, "", False, watcher=watcher)
        process, pid = started(
            arm, command, directory, variables=environment, stdout=nowhere, stderr=nowhere
        )
        with ended(process), stopped_after(pid):
            try:
                yield pid
            finally:
                resumed(pid)


def resumed(pid: int) -> None:
    """A stopped process does not see that it shall end."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


# ---- arms ----


def own_window(target: Target, page: CountersSource, arm: str, seconds: float) -> float:
    """Of the process under libhakmem."""
    set_knob(page, f"HAKMEM_SAMPLE_BYTES={0 if 'off' in arm else SAMPLE_BYTES}")
    if arm != OWN[3]:
        time.sleep(SETTLE_S / 4)
        return window(target, seconds)
    return profiled(target, ProfileRequest(pid=target.pid), seconds)


def any_window(target: Target, arm: str, seconds: float, directory: Path) -> float:
    """Of the process on glibc."""
    if arm == ANY[2]:
        request = ProfileRequest(pid=target.pid, allocator="any")
        return profiled(target, request, max(seconds, BUDGET_S))
    if arm == ANY[3]:
        with watched(Arm(arm, "", False, watcher="memleak"), target.pid, directory):
            return window(target, seconds)
    time.sleep(SETTLE_S / 4)
    return window(target, seconds)


def profiled(target: Target, request: ProfileRequest, seconds: float) -> float:
    """With our profile attached, once it has found its pace."""
    source = open_profile(request)
    try:
        for _ in range(int(SETTLE_S / 0.05)):
            source.wait(0.05)
        source.poll(live=True)
        return window(target, seconds, source.wait)
    finally:
        source.close()


def one_round(
    own: Target, page: CountersSource, other: Target, arms: set[str], seconds: float,
    chance: random.Random, directory: Path,
) -> dict[str, float]:  # fmt: skip
    """A window of each arm."""
    found: dict[str, float] = {}
    with running(own):
        for arm in chance.sample(OWN, len(OWN)):
            found[arm] = own_window(own, page, arm, seconds)
    with running(other):
        for arm in (arm for arm in chance.sample(ANY, len(ANY)) if arm in arms):
            found[arm] = any_window(other, arm, seconds, directory)
    return found


def reference(row: Mapping[str, float], arm: str) -> float:
    """A window without a tool is compared to the other one, the rest to the mean of both."""
    names = OWN if arm in OWN else ANY
    first, second = row[names[0]], row[names[1]]
    return first if arm in names[:2] else (first + second) / 2


def main() -> None:
    """One run of one target."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", choices=("redis", "random_mixed"))
    parser.add_argument("--rounds", type=int, default=31)
    parser.add_argument("--seconds", type=float, default=1.0)
    options = parser.parse_args()
    chance = random.Random(5)
    target = redis if options.target == "redis" else steps
    tools = {arm.watcher for arm in usable()}
    arms = {*OWN, *ANY} - (set() if "memleak" in tools else {ANY[3]})
    rounds: list[dict[str, float]] = []
    on_glibc = {**os.environ, "LD_PRELOAD": GLIBC}
    with (
        tempfile.TemporaryDirectory(prefix="hakmem-cost-") as name,
        target(Path(name), {**os.environ, "LD_PRELOAD": str(LIBRARY)}) as own,
        target(Path(name), on_glibc) as other,
        CountersSource(own.pid) as page,
    ):
        time.sleep(2 * SETTLE_S)
        for both in (own, other):
            both.signal(signal.SIGSTOP)
        for number in range(options.rounds):
            row = one_round(own, page, other, arms, options.seconds, chance, Path(name))
            if "heaptrack" in tools:
                with target(Path(name), on_glibc, "heaptrack") as tracked:
                    time.sleep(SETTLE_S)
                    row[HEAPTRACK] = window(tracked, options.seconds)
            rounds.append(row)
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr, flush=True)
    print(f"{options.target}, {options.rounds} rounds of windows of {options.seconds:g} s")
    print("| arm | CPU ns an operation (median) | cost | 95 % interval |\n|---|---|---|---|")
    for arm in (arm for arm in (*OWN, *ANY, HEAPTRACK) if arm in rounds[0]):
        ratios = [row[arm] / reference(row, arm) for row in rounds]
        middle, low, high = interval(ratios, chance)
        each = interval([row[arm] for row in rounds], chance)[0]
        print(f"| {arm} | {each:.2f} | {middle - 1:+.2%} | {low - 1:+.2%} to {high - 1:+.2%} |")


if __name__ == "__main__":
    main()
