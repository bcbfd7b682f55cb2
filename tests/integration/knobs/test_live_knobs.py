"""Live knobs of a real process: set, seen, refused, taken back."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hakmem_tools.model.settings import SettingError
from hakmem_tools.observe.counters import CountersSource
from hakmem_tools.observe.live_knobs import CannotWrite, reset_knobs, set_knob
from tests.integration.observe.puppet import Puppet, puppet
from tests.integration.observe.test_bad_input import hakmem

#: Takes slow paths: blocks of every class, kept and let go.
WORK = "for _ in range(20): blocks = [libc.malloc(n * 61) for n in range(1, 300)]\n" + (
    "for block in blocks: libc.free(block)"
)


class Worker:
    """A process that allocates until the end of `with`, so that it always answers."""

    def __init__(self, worker: Puppet) -> None:
        self.puppet = worker
        self.pid = worker.pid
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._stop.is_set():
            self.puppet.do(WORK)

    def __enter__(self) -> Worker:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


@pytest.fixture
def process() -> Iterator[Puppet]:
    with puppet(env={"HAKMEM_FRONT_REFILL": "32"}) as made:
        made.do(WORK)
        yield made


def value_of(source: CountersSource, name: str) -> tuple[object, str]:
    row = next(row for row in source.knobs() if row.knob.name == name and not row.index)
    return row.value, row.source


def test_a_live_knob_is_set_published_and_taken_back(process: Puppet) -> None:
    with Worker(process), CountersSource(process.pid) as source:
        before = source.snapshot().policy_version
        applied = set_knob(source, "HAKMEM_FRONT_REFILL=16", wait_s=20)
        assert (applied.answered, applied.value, applied.source) == (True, 16, "live")
        assert applied.policy_version == before + 1 == source.snapshot().policy_version
        back = reset_knobs(source, "front_refill", wait_s=20)
        assert (back.value, back.source) == (32, "env")
        assert source.snapshot().policy_version == before + 2


def test_every_type_of_live_knob_takes_its_value(process: Puppet) -> None:
    with Worker(process), CountersSource(process.pid) as source:
        for assignment, value in (
            ("bigcache=0", 0),
            ("w_max_mid=1.25", 1.25),
            ("free_policy=keep", "keep"),
            ("mmap_threshold=256K", 262144),
            ("tiny_cap_3=77", 77),
        ):
            applied = set_knob(source, assignment, wait_s=20)
            assert (applied.answered, applied.value, applied.source) == (True, value, "live")
        assert reset_knobs(source, wait_s=20).answered
        assert all(row.source != "live" for row in source.knobs())


def test_a_lower_threshold_sends_blocks_to_big_at_once(process: Puppet) -> None:
    with CountersSource(process.pid) as source:
        process.do("block = libc.malloc(300_000)")
        assert source.snapshot().scalars["big_maps"] == 0
        with Worker(process):
            assert set_knob(source, "mmap_threshold=128K", wait_s=20).answered
        process.do("big = libc.malloc(300_000); libc.free(block); libc.free(big)")
        assert source.snapshot().scalars["big_maps"] == 1
        process.do("below = libc.malloc(131_071); libc.free(below)")  # it is exact to the byte
        assert source.snapshot().scalars["big_maps"] == 1
        process.do("at = libc.malloc(131_072)")
        counts = source.snapshot().scalars
        assert counts["big_live_blocks"] == 1
        process.do("libc.free(at)")
        maps = source.snapshot().scalars["big_maps"]
        with Worker(process):
            assert reset_knobs(source, wait_s=20).answered
        process.do("block = libc.malloc(300_000)")
        assert source.snapshot().scalars["big_maps"] == maps


def test_a_process_that_does_not_allocate_does_not_answer_and_keeps_its_value(
    process: Puppet,
) -> None:
    with CountersSource(process.pid) as source:
        applied = set_knob(source, "front_refill=8", wait_s=0)
        assert not applied.answered
        assert (applied.value, applied.source) == (32, "env")
        with Worker(process):  # the withdrawn request does not come back to life
            assert set_knob(source, "bigcache=0", wait_s=20).answered
        assert value_of(source, "front_refill") == (32, "env")


def test_what_is_no_live_knob_or_out_of_range_is_never_sent(process: Puppet) -> None:
    with CountersSource(process.pid) as source:
        version = source.snapshot().policy_version
        for assignment in ("superslab_lg=20", "front_refill=0", "front_refill=x", "nothing=1", "x"):
            with pytest.raises(SettingError):
                set_knob(source, assignment)
        process.do(WORK)
        assert source.snapshot().policy_version == version


def control_record(source: CountersSource) -> tuple[int, int]:
    return os.open(source.page_path, os.O_RDWR), source.control_offset


@pytest.mark.parametrize(
    ("index", "value", "status"),
    [(1 << 30, 5, -2), (0, 3, -1), ("front_refill", -1, -34), ("front_refill", 1 << 62, -34)],
)
def test_the_process_checks_for_itself(
    process: Puppet, index: int | str, value: int, status: int
) -> None:
    """A hostile writer gets an error number, and nothing changes."""
    with CountersSource(process.pid) as source:
        slots = [knob.name for knob, _ in source.descriptors.knob_slots()]
        at = slots.index(index) if isinstance(index, str) else index
        before = source.knobs()
        descriptor, offset = control_record(source)
        os.pwrite(descriptor, at.to_bytes(4, "little"), offset + 16)
        os.pwrite(descriptor, value.to_bytes(8, "little", signed=True), offset + 24)
        os.pwrite(descriptor, (1).to_bytes(8, "little"), offset)
        process.do(WORK)
        answered = int.from_bytes(os.pread(descriptor, 8, offset + 8), "little")
        got = int.from_bytes(os.pread(descriptor, 4, offset + 20), "little", signed=True)
        os.close(descriptor)
        assert (answered, got) == (1, status)
        assert source.knobs() == before


def test_two_tools_do_not_write_at_the_same_time(process: Puppet) -> None:
    import fcntl

    with CountersSource(process.pid) as source:
        descriptor, _ = control_record(source)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with pytest.raises(CannotWrite, match="another tool"):
            set_knob(source, "front_refill=8")
        os.close(descriptor)


def test_the_command_sets_shows_and_resets(process: Puppet) -> None:
    with Worker(process):
        pid = str(process.pid)
        done = hakmem("knobs", "set", "front_refill=16", "bigcache=0", "--json", "-p", pid)
        assert done.returncode == 0, done.stderr
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        assert [(row["name"], row["value"], row["source"]) for row in rows] == [
            ("front_refill", 16, "live"),
            ("bigcache", 0, "live"),
        ]
        shown = hakmem("knobs", "--effective", "--json", "-p", pid).stdout.splitlines()
        live = {row["name"] for row in map(json.loads, shown) if row["source"] == "live"}
        assert live == {"front_refill", "bigcache"}
        assert hakmem("knobs", "reset", "-p", pid).returncode == 0
        shown = hakmem("knobs", "--effective", "--json", "-p", pid).stdout.splitlines()
        assert not [row for row in map(json.loads, shown) if row["source"] == "live"]


def test_the_command_refuses_in_one_line(process: Puppet) -> None:
    for words in (("set", "front_refill=9999"), ("set", "mode=fast"), ("reset", "nothing")):
        done = hakmem("knobs", *words, "-p", str(process.pid))
        assert done.returncode == 2
        assert done.stdout == ""
        assert done.stderr.count("\n") == 1


def test_the_process_tells_each_change_on_its_stderr(tmp_path: Path) -> None:
    with open(tmp_path / "said", "wb+") as said:
        saved = os.dup(2)
        os.dup2(said.fileno(), 2)
        try:
            with puppet() as process, Worker(process), CountersSource(process.pid) as source:
                set_knob(source, "front_refill=16", wait_s=20)
        finally:
            os.dup2(saved, 2)
            os.close(saved)
        said.seek(0)
        assert said.read().decode() == (
            f"hakmem: HAKMEM_FRONT_REFILL: 256 -> 16, asked for by process {os.getpid()}: taken\n"
        )


#: Allocates until its parent has gone.
CHILD = """
ready = os.pipe()
child = os.fork()
if child == 0:
    os.write(ready[1], b"r")
    while os.getppid() != 1:
        blocks = [libc.malloc(n * 61) for n in range(1, 300)]
        for block in blocks: libc.free(block)
    os._exit(0)
os.read(ready[0], 1)
"""


def test_a_forked_child_is_set_without_its_parent() -> None:
    with puppet() as process:
        process.do(CHILD.replace("!= 1", f"== {process.pid}"))
        child = int(process.ask("child"))
        with CountersSource(child) as source, CountersSource(process.pid) as parent:
            applied = set_knob(source, "front_refill=16", wait_s=20)
            assert (applied.answered, applied.value) == (True, 16)
            assert value_of(parent, "front_refill") == (256, "default")
        process.do("os.kill(child, 9); os.waitpid(child, 0)")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be somebody else")
def test_another_user_may_not_write(process: Puppet) -> None:
    nobody = pwd.getpwnam("nobody")
    done = subprocess.run(
        ["sh", "-c", f"true <>/proc/{process.pid}/fd/200"],
        user=nobody.pw_uid, group=nobody.pw_gid, extra_groups=[], capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0
