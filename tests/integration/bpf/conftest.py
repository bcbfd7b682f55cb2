"""What the BPF tests share: a workload by plan, ways to wait for a condition, the command."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from hakmem_tools.native.library import Library, open_library
from hakmem_tools.observe.bpf.syscall import load_trivial_program
from hakmem_tools.observe.elf import ElfFile, UsdtSite, find_mapped
from hakmem_tools.observe.proc import Process
from hakmem_tools.observe.target import preload_environment

HERE = Path(__file__).parent
HAKMEM = Path(sys.executable).with_name("hakmem")
PATIENCE_S = 120.0
#: Few slots for the largest class of the mission's geometry, and nothing comes back: each
#: further slab of that class is a shared_fail.
EXHAUSTED = {
    "HAKMEM_TINY_GEOMETRY": "pow2",
    "HAKMEM_SUPERSLAB_LG": "19",
    "HAKMEM_SS_EMPTY_REUSE": "0",
    "HAKMEM_TINY_SS_ADOPT": "0",
    "HAKMEM_TINY_CAP_C7": "3",
}


@pytest.fixture(autouse=True, scope="session")
def bpf_works() -> None:
    """Skips where there is nothing to test; where BPF should work and does not, tests fail."""
    try:
        os.close(load_trivial_program())
    except OSError as error:
        if error.errno == errno.ENOSYS:
            pytest.skip("this kernel has no bpf() system call")
        if os.geteuid() != 0:
            pytest.skip("attaching probes needs root")
        raise


@pytest.fixture(scope="session")
def library() -> Library:
    return open_library()


@pytest.fixture(scope="session")
def exhausted() -> dict[str, str]:
    """Knobs under which the workload runs into its soft cap."""
    return EXHAUSTED


#: For the probes of an earlier tracer to go. A test that opens sites under its own waits so long.
LEAVING_S = 2.0


@pytest.fixture(scope="session")
def until() -> Callable[[Callable[[], object], str], None]:
    """Waits for a condition; the time only bounds a test that hangs."""

    def wait(condition: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, f"never came: {what}"
            time.sleep(0.01)

    return wait


class Workload:
    """A running workload.c: ready, then go(), then done, then end()."""

    def __init__(self, binary: Path, plan: tuple[int, int, int, int], environment: dict[str, str]):
        self.process = subprocess.Popen(
            [binary, *map(str, plan)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = self.process.pid
        self.says("ready")

    def says(self, word: str) -> None:
        stdout = self.process.stdout
        assert stdout is not None
        assert select.select([stdout], [], [], PATIENCE_S)[0], f"the workload never said {word}"
        assert stdout.readline().split()[:1] == [word]

    def go(self) -> None:
        """Does the work; returns when it is done."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        self.says("done")

    def end(self) -> None:
        if self.process.stdin is not None and not self.process.stdin.closed:
            self.process.stdin.close()
        try:
            self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise

    def is_alive(self) -> bool:
        return self.process.poll() is None


@pytest.fixture(scope="session")
def workload_binary() -> Iterator[Path]:
    # Not below pytest's own directory, which other users may not enter.
    with tempfile.TemporaryDirectory(prefix="hakmem-test-") as directory:
        path = Path(directory) / "workload"
        flags = ["-O1", "-g", "-fno-omit-frame-pointer", "-pthread"]
        subprocess.run(["gcc", *flags, "-o", path, HERE / "workload.c"], check=True)
        path.parent.chmod(0o755)
        yield path


@pytest.fixture
def start(workload_binary: Path, library: Library) -> Iterator[Callable[..., Workload]]:
    """Starts workloads, and ends them after the test."""
    started: list[Workload] = []

    def start_one(
        blocks: int = 1009,
        size: int = 1000,
        threads: int = 1,
        children: int = 0,
        lib: Path | None = None,
        **settings: str,
    ) -> Workload:
        environment = preload_environment(
            lib or library.path, {**EXHAUSTED, **settings}, os.environ
        )
        workload = Workload(workload_binary, (blocks, size, threads, children), environment)
        started.append(workload)
        return workload

    yield start_one
    for workload in started:
        workload.process.kill()
        workload.process.wait()
        for stream in (workload.process.stdin, workload.process.stdout):
            if stream is not None and not stream.closed:
                stream.close()


class Traced:
    """A running `hakmem trace`."""

    def __init__(self, process: subprocess.Popen[str]):
        self.process = process
        self.lines: list[dict[str, object]] = []
        self.errors = ""

    def finish(self) -> int:
        """Waits for its end; its exit code. Then `lines` and `errors` are there."""
        out, self.errors = self.process.communicate(timeout=PATIENCE_S)
        self.lines = [json.loads(line) for line in out.splitlines()]
        return self.process.returncode

    def holds_probes(self) -> bool:
        """Has it attached something itself? A breakpoint may be another tracer's."""
        fds = Path(f"/proc/{self.process.pid}/fd")
        with contextlib.suppress(OSError):
            for fd in fds.iterdir():
                if os.readlink(fd) in ("anon_inode:bpf_link", "anon_inode:[perf_event]"):
                    return True
        return False

    @property
    def summary(self) -> dict[str, object]:
        assert self.lines[-1]["event"] == "summary"
        return self.lines[-1]

    @property
    def events(self) -> list[dict[str, object]]:
        return self.lines[:-1]


@pytest.fixture
def trace() -> Iterator[Callable[..., Traced]]:
    """Starts `hakmem trace --json WORDS...`, and ends it after the test."""
    started: list[Traced] = []

    def start_one(*words: object, prefix: tuple[str, ...] = ()) -> Traced:
        process = subprocess.Popen(
            [*prefix, HAKMEM, "trace", "--json", *map(str, words)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(Traced(process))
        return started[-1]

    yield start_one
    for traced in started:
        if traced.process.poll() is None:
            # The program that it traces, and what is behind a prefix, may hold the pipes.
            for child in psutil.Process(traced.process.pid).children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.kill()
            traced.process.kill()
        for stream in (traced.process.stdout, traced.process.stderr):
            if stream is not None:
                stream.close()
        traced.process.wait()


class SiteMemory:
    """The instructions at a running process's probe sites: a breakpoint where one is attached."""

    def __init__(self, pid: int):
        with Process(pid) as process:
            found = find_mapped(process)
        with ElfFile(found.path) as file:
            self.sites: tuple[UsdtSite, ...] = file.sites()
        self._bias = found.bias
        self._memory = open(f"/proc/{pid}/mem", "rb", buffering=0)  # noqa: SIM115

    def close(self) -> None:
        self._memory.close()

    def attached(self) -> set[str]:
        """Names of the probes with a breakpoint."""
        return {
            site.name
            for site in self.sites
            if os.pread(self._memory.fileno(), 1, self._bias + site.address) == b"\xcc"
        }


@pytest.fixture
def sites() -> Iterator[Callable[[Workload], SiteMemory]]:
    opened: list[SiteMemory] = []

    def open_one(workload: Workload) -> SiteMemory:
        memory = SiteMemory(workload.pid)
        opened.append(memory)
        # The kernel takes a tracer's probes out a moment after its end: what is still there of the
        # test before is not to be taken for this one's.
        deadline = time.monotonic() + LEAVING_S
        while memory.attached() and time.monotonic() < deadline:
            time.sleep(0.01)
        return memory

    yield open_one
    for memory in opened:
        memory.close()
