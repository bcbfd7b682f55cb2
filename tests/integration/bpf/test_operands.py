"""Operands that a compiler may choose, and semaphores that the kernel counts."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hakmem_tools.model.descriptors import Descriptors, Probe
from hakmem_tools.observe.bpf.attach import Tier
from hakmem_tools.observe.bpf.generate import Purpose
from hakmem_tools.observe.bpf.library import open_library_file
from hakmem_tools.observe.bpf.watch import Watch

HERE = Path(__file__).parent
ARGUMENTS = ("whole", "negative", "small", "constant", "element")
TABLE = Descriptors(
    knobs=(), modes=(), counters=(), probes=(Probe("toy", "mixed", ARGUMENTS, ""),), codes=()
)
WORD = 1 << 64


class Toy:
    """A running mixed.c."""

    def __init__(self, binary: Path):
        self.binary = binary
        self.process = subprocess.Popen(
            [binary], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.pid = self.process.pid

    def fire(self) -> int:
        """Fires once; the semaphore's count at that time."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())


@pytest.fixture
def toy(tmp_path: Path) -> Iterator[Toy]:
    binary = tmp_path / "mixed"
    subprocess.run(["gcc", "-O0", "-o", binary, HERE / "mixed.c"], check=True)
    running = Toy(binary)
    yield running
    running.process.kill()
    running.process.communicate()


def watch(toy: Toy, tier: Tier) -> Watch:
    purpose = Purpose(counted=frozenset(), streamed=frozenset(("mixed",)), pid=toy.pid)
    with open_library_file(toy.binary) as file:
        return Watch(file, TABLE, purpose, tier=tier)


@pytest.mark.parametrize("tier", ["uprobe_multi", "perf_uprobe"])
def test_operands_in_memory_registers_and_constants_arrive_widened_by_their_sign(
    toy: Toy, tier: Tier
) -> None:
    with watch(toy, tier) as watching:
        toy.fire()
        (event,) = watching.events(30)
    assert event.args == {
        "whole": 0x1122334455667788,
        "negative": WORD - 2,
        "small": 200,
        "constant": WORD - 7,
        "element": WORD - 40,
    }


@pytest.mark.parametrize("tier", ["uprobe_multi", "perf_uprobe"])
def test_the_kernel_counts_the_semaphore_while_attached_and_no_longer(toy: Toy, tier: Tier) -> None:
    assert toy.fire() == 0
    with watch(toy, tier):
        assert toy.fire() == 1
        with watch(toy, tier):  # one count for all who watch a site
            assert toy.fire() == 1
        assert toy.fire() == 1
    assert toy.fire() == 0


KILLED = """
import sys
sys.path.insert(0, {here!r})
from test_operands import TABLE, Purpose, Watch, open_library_file
purpose = Purpose(counted=frozenset(), streamed=frozenset(("mixed",)), pid={pid})
with open_library_file({binary!r}) as file:
    watch = Watch(file, TABLE, purpose, tier={tier!r})
print("attached", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("tier", ["uprobe_multi", "perf_uprobe"])
def test_a_killed_tracer_leaves_the_semaphore_at_nought(toy: Toy, tier: Tier) -> None:
    script = KILLED.format(here=str(HERE), pid=toy.pid, binary=str(toy.binary), tier=tier)
    tracer = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert tracer.stdout is not None
        assert tracer.stdout.readline() == "attached\n"
        assert toy.fire() == 1
        tracer.send_signal(signal.SIGKILL)
    finally:
        tracer.kill()
        tracer.communicate()
    assert toy.fire() == 0
