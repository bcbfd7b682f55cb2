"""What a call-site profile costs its target, beside other tools, in one interleaved run.

    .venv/bin/python bench/profile_cost.py [--rounds N] [--only redis|random_mixed]

Each round runs every arm once, in an order drawn anew. The figure is CPU time of the target for
an equal amount of work (its own clock, not the machine's: what else runs here disturbs least),
as a ratio to the arm's reference in the same round; then the median of the rounds with a 95 %
bootstrap interval. The A/A arm is the reference against itself. Needs root, redis-server,
heaptrack and bcc's memleak (bpfcc-tools); an arm whose tool is missing is left out and said to be.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from hakmem_tools.observe.bpf.stub_headers import stub_tree

ROOT = Path(__file__).resolve().parent.parent
LIBRARY = ROOT / "build/libhakmem.so"
HAKMEM = Path(sys.executable).with_name("hakmem")
PATIENCE_S = 60.0
STEPS = 120_000_000
SLOW_STEPS = 300_000  # under a tool that makes each call ten times slower
REQUESTS = 100_000


class Arm(NamedTuple):
    """One way to run the target: its allocator, its knobs, and what watches it."""

    name: str
    reference: str
    under_hakmem: bool
    sample_bytes: int = 0
    watcher: str = ""
    slow: bool = False


ARMS = (
    Arm("sampling off", "sampling off", True),
    Arm("A/A: sampling off again", "sampling off", True),
    Arm("sampling on, nobody attached", "sampling off", True, 524_288),
    Arm("hakmem profile attached", "sampling off", True, 524_288, "profile"),
    Arm("its own allocator", "its own allocator", False),
    Arm("--allocator any attached", "its own allocator", False, 0, "any"),
    Arm("heaptrack", "its own allocator", False, 0, "heaptrack", True),
    Arm("memleak attached", "its own allocator", False, 0, "memleak", True),
)


def cpu_ns(pid: int) -> int:
    """CPU time of all threads of a process (the kernel's MAKE_PROCESS_CPUCLOCK)."""
    return time.clock_gettime_ns(~pid << 3 | 2)


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"never came: {what}")
        time.sleep(0.01)


def environment(arm: Arm) -> dict[str, str]:
    if not arm.under_hakmem:
        return dict(os.environ)
    knobs = {"LD_PRELOAD": str(LIBRARY), "HAKMEM_SAMPLE_BYTES": str(arm.sample_bytes)}
    return {**os.environ, **knobs}


@contextmanager
def ended(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is interrupted in the end, and killed if it does not go."""
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
        process.wait()


@contextmanager
def watched(arm: Arm, pid: int, directory: Path) -> Iterator[None]:
    """Has the arm's watcher attached to a running process."""
    log = directory / "watcher.log"
    file = directory / "file.hakprof"
    file.unlink(missing_ok=True)
    profile = [HAKMEM, "profile", "-p", str(pid), "-o", file]
    commands: dict[str, list[object]] = {
        "profile": [*profile],
        "any": [*profile, "--allocator", "any"],
        "memleak": ["memleak-bpfcc", "-p", str(pid), "1"],
    }
    if arm.watcher not in commands:
        yield
        return
    with log.open("wb") as output:
        # bcc's tool wants kernel headers; the tree that ours compiles with serves it, too.
        headers = {"BCC_KERNEL_SOURCE": str(stub_tree())} if arm.watcher == "memleak" else {}
        process = subprocess.Popen(
            [str(word) for word in commands[arm.watcher]],
            stdout=output,
            stderr=output,
            env={**os.environ, **headers},
        )
    with ended(process):
        ready = (lambda: b"Top 10" in log.read_bytes()) if arm.watcher == "memleak" else file.exists
        until(lambda: bool(ready()) or process.poll() is not None, f"{arm.watcher} attached")
        if process.poll() is not None:
            raise RuntimeError(f"{arm.watcher} ended: {log.read_text()}")
        yield


def descendant(parent: int, name: str) -> int | None:
    """A process below `parent` that runs a program of this name."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if os.path.basename(os.readlink(entry / "exe")) != name:
                continue
            pid = int(entry.name)
            while pid > 1:
                if pid == parent:
                    return int(entry.name)
                pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            continue
    return None


def started(
    arm: Arm,
    command: list[str],
    directory: Path,
    *,
    variables: Mapping[str, str] | None = None,
    **more: object,
) -> tuple[subprocess.Popen[bytes], int]:
    """The process that we started, and the pid of the target in it."""
    if arm.watcher == "heaptrack":
        command = ["heaptrack", "-o", str(directory / "heaptrack"), *command]
    variables = environment(arm) if variables is None else variables
    process = subprocess.Popen(command, env=variables, **more)  # type: ignore[call-overload]
    if arm.watcher != "heaptrack":
        return process, process.pid
    name = os.path.basename(os.path.realpath(shutil.which(command[3]) or command[3]))
    until(lambda: descendant(process.pid, name) is not None, name)
    return process, descendant(process.pid, name) or 0


@contextmanager
def stopped_after(pid: int) -> Iterator[None]:
    """A target that is not our own child: a wrapper that ends would leave it running."""
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)


# ---- random_mixed ----


def random_mixed(arm: Arm, directory: Path) -> float:
    """CPU nanoseconds of a step. The program is stopped while a watcher attaches."""
    steps = SLOW_STEPS if arm.slow else STEPS
    slots = str(ROOT / "build/bench/slots")
    command = [slots, "--preset", "random_mixed", "--steps", str(steps), "--hold"]
    with (directory / "line").open("wb") as line:
        process, pid = started(arm, command, directory, stdin=subprocess.PIPE, stdout=line)
    with ended(process), stopped_after(pid), ExitStack() as stack:
        before = 0
        if arm.watcher and arm.watcher != "heaptrack":
            time.sleep(0.005)
            os.kill(pid, signal.SIGSTOP)
            try:
                stack.enter_context(watched(arm, pid, directory))
                before = cpu_ns(pid)
            finally:
                os.kill(pid, signal.SIGCONT)
        until(lambda: b"workload" in (directory / "line").read_bytes(), "the workload's line")
        spent = cpu_ns(pid) - before
        stack.close()
        assert process.stdin is not None
        process.stdin.close()
        # What it did before it was stopped: some milliseconds of some 75 nanoseconds a step.
        return spent / (steps - before / 75)


# ---- redis ----


def redis(arm: Arm, directory: Path) -> float:
    """CPU nanoseconds of the server for a request."""
    socket = directory / "redis.sock"
    socket.unlink(missing_ok=True)
    command = ["redis-server", "--port", "0", "--unixsocket", str(socket), "--save", ""]
    with (directory / "server.log").open("wb") as output:
        process, pid = started(
            arm, [*command, "--dir", str(directory)], directory, stdout=output, stderr=output
        )
    with ended(process), stopped_after(pid):
        until(socket.exists, "redis")
        benchmark(socket, 10_000)
        with watched(arm, pid, directory):
            before = cpu_ns(pid)
            benchmark(socket, REQUESTS)
            return (cpu_ns(pid) - before) / (REQUESTS * 4)


def benchmark(socket: Path, requests: int) -> None:
    words = ["-n", requests, "-c", 20, "-P", 16, "-d", 700, "-r", 10_000, "-q"]
    command = ["redis-benchmark", "-s", socket, *words, "-t", "set,get,lpush,hset"]
    subprocess.run(
        [str(word) for word in command], check=True, stdout=subprocess.DEVNULL, timeout=PATIENCE_S
    )


# ---- figures ----


def interval(values: list[float], chance: random.Random) -> tuple[float, float, float]:
    """Median and a 95 % percentile bootstrap interval of it."""

    def median(sample: list[float]) -> float:
        ordered = sorted(sample)
        middle = len(ordered) // 2
        return (ordered[middle] + ordered[~middle]) / 2

    drawn = sorted(median(chance.choices(values, k=len(values))) for _ in range(4000))
    return median(values), drawn[100], drawn[-101]


def measure(
    name: str, run: Callable[[Arm, Path], float], arms: list[Arm], rounds: int, directory: Path
) -> None:
    chance = random.Random(5)
    found: dict[str, list[float]] = {arm.name: [] for arm in arms}
    for number in range(rounds):
        order = arms[:]
        chance.shuffle(order)
        for arm in order:
            found[arm.name].append(run(arm, directory))
        print(f"{name}: round {number + 1} of {rounds}", file=sys.stderr)
    print(f"\n{name}: CPU time of the target, ratio to its reference, {rounds} rounds")
    print("| arm | reference | ns each (median) | cost | 95 % interval |\n|---|---|---|---|---|")
    for arm in arms:
        pairs = zip(found[arm.name], found[arm.reference], strict=True)
        middle, low, high = interval([a / b for a, b in pairs], chance)
        each = interval(found[arm.name], chance)[0]
        print(
            f"| {arm.name} | {arm.reference} | {each:.1f} | {middle - 1:+.2%} | "
            f"{low - 1:+.2%} to {high - 1:+.2%} |",
            flush=True,
        )


def usable(arms: tuple[Arm, ...] = ARMS) -> list[Arm]:
    """Those whose tool is installed; the others are said to be left out."""
    tools = {"heaptrack": "heaptrack", "memleak": "memleak-bpfcc"}
    for arm in arms:
        tool = tools.get(arm.watcher)
        if tool is not None and shutil.which(tool) is None:
            print(f"left out: {arm.name}: {tool} is not installed", file=sys.stderr)
    return [a for a in arms if a.watcher not in tools or shutil.which(tools[a.watcher])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", choices=("redis", "random_mixed"))
    options = parser.parse_args()
    arms = usable(ARMS)
    with tempfile.TemporaryDirectory(prefix="hakmem-cost-") as name:
        for title, run in (("random_mixed", random_mixed), ("redis", redis)):
            if options.only in (None, title):
                chosen = arms
            if title == "redis":
                # memleak wants mmap in the file that defines malloc: jemalloc's does not.
                chosen = [arm for arm in arms if arm.watcher != "memleak"]
            measure(title, run, chosen, options.rounds, Path(name))


if __name__ == "__main__":
    main()
