"""What sampling and listening cost a process under libhakmem, within one run of that process.

    .venv/bin/python bench/profile_share.py redis|random_mixed [--rounds N] [--seconds S]

The process runs on; windows of it alternate, in an order drawn anew for each round: sampling off,
off again (A/A), on with nobody attached (its live knob), and on with a profile attached. A
window's figure is the process's CPU time for an operation, by its own counters (allocations,
commands), so that neither memory layout nor start-up differ between arms and what else runs on
the machine hits all of them. Ratios are to the mean of the round's two windows without sampling.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.profile_cost import LIBRARY, ROOT, cpu_ns, ended, interval, until
from hakmem_tools.observe.counters import CountersSource
from hakmem_tools.observe.live_knobs import set_knob
from hakmem_tools.observe.profile_source import ProfileRequest
from hakmem_tools.observe.profiler import open_profile

ON, OFF = 524_288, 0
ARMS = ("sampling off", "A/A: off again", "sampling on, nobody attached", "profile attached")
SETTLE_S = 1.0


def window(
    pid: int, done: Callable[[], int], seconds: float, wait: Callable[[float], None]
) -> float:
    """CPU nanoseconds of the process for an operation, over so many seconds."""
    cpu, count, end = cpu_ns(pid), done(), time.monotonic() + seconds
    while time.monotonic() < end:
        wait(0.05)
    return (cpu_ns(pid) - cpu) / max(1, done() - count)


def one_round(
    page: CountersSource, done: Callable[[], int], seconds: float, chance: random.Random
) -> dict[str, float]:
    found: dict[str, float] = {}
    for arm in chance.sample(ARMS, len(ARMS)):
        set_knob(page, f"HAKMEM_SAMPLE_BYTES={OFF if 'off' in arm else ON}")
        if arm != ARMS[3]:
            time.sleep(SETTLE_S / 4)
            found[arm] = window(page.pid, done, seconds, time.sleep)
            continue
        source = open_profile(ProfileRequest(pid=page.pid))
        try:
            for _ in range(int(SETTLE_S / 0.05)):
                source.wait(0.05)
            source.poll(live=True)
            found[arm] = window(page.pid, done, seconds, source.wait)
        finally:
            source.close()
    return found


@contextmanager
def random_mixed(_: Path) -> Iterator[tuple[int, Callable[[CountersSource], Callable[[], int]]]]:
    command = [str(ROOT / "build/bench/slots"), "--preset", "random_mixed"]
    with (
        open(os.devnull, "wb") as nowhere,
        ended(
            subprocess.Popen(
                [*command, "--steps", str(10**12)],
                env={**os.environ, "LD_PRELOAD": str(LIBRARY)},
                stdout=nowhere,
            )
        ) as process,
    ):
        yield process.pid, allocations


def allocations(page: CountersSource) -> Callable[[], int]:
    def count() -> int:
        return sum(row.counts["front_pops"] for row in page.snapshot().classes)

    return count


@contextmanager
def redis(directory: Path) -> Iterator[tuple[int, Callable[[CountersSource], Callable[[], int]]]]:
    socket = directory / "redis.sock"
    server = ["redis-server", "--port", "0", "--unixsocket", str(socket), "--save", ""]
    load = ["-n", "1000000000", "-c", "20", "-P", "16", "-d", "700", "-r", "10000", "-q"]
    with (
        open(os.devnull, "wb") as nowhere,
        ended(
            subprocess.Popen(
                [*server, "--dir", str(directory)],
                env={**os.environ, "LD_PRELOAD": str(LIBRARY)},
                stdout=nowhere,
            )
        ) as process,
    ):
        until(socket.exists, "redis")
        client = subprocess.Popen(
            ["redis-benchmark", "-s", str(socket), *load, "-t", "set"], stdout=nowhere
        )
        with ended(client):
            yield process.pid, lambda _: lambda: commands(socket)


def commands(socket: Path) -> int:
    told = subprocess.run(
        ["redis-cli", "-s", socket, "INFO", "stats"], capture_output=True, text=True, check=True
    ).stdout
    name = "total_commands_processed:"
    return next(int(line[len(name) :]) for line in told.splitlines() if line.startswith(name))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", choices=("redis", "random_mixed"))
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=1.0)
    options = parser.parse_args()
    chance = random.Random(5)
    target = redis if options.target == "redis" else random_mixed
    rounds: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory(prefix="hakmem-cost-") as name, target(Path(name)) as started:
        pid, counting = started
        time.sleep(1)
        with CountersSource(pid) as page:
            for number in range(options.rounds):
                rounds.append(one_round(page, counting(page), options.seconds, chance))
                print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
    print(f"{options.target}, {options.rounds} rounds of windows of {options.seconds:g} s")
    print("| arm | CPU ns an operation (median) | cost | 95 % interval |\n|---|---|---|---|")
    for arm in ARMS:
        ratios = [row[arm] / reference(row, arm) for row in rounds]
        middle, low, high = interval(ratios, chance)
        each = interval([row[arm] for row in rounds], chance)[0]
        print(f"| {arm} | {each:.2f} | {middle - 1:+.2%} | {low - 1:+.2%} to {high - 1:+.2%} |")


def reference(row: dict[str, float], arm: str) -> float:
    """A window without sampling is compared to the other one, the rest to the mean of both."""
    first, second = row[ARMS[0]], row[ARMS[1]]
    return first if arm in ARMS[:2] else (first + second) / 2


if __name__ == "__main__":
    main()
