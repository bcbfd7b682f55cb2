"""One measurement: a workload program under one allocator, in processes of its own.

`conduct` calls `measure` once for every row, arm and round. The program times its own hot part;
everything else comes from the kernel. A run that fails in any way is a Run with a `failure`, never
an exception, so that it stays in the data.

The child is held at its end (the workloads' `--hold`) until /proc has been read. That is how the
preload is proved, and why the peak is VmHWM: the `ru_maxrss` of a child also counts the pages of
the process that started it.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, NamedTuple

import msgspec

from hakmem_tools.bench.peers import Peer
from hakmem_tools.bench.rows import Row

TIMEOUT_SECONDS = 120.0


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """What one measurement gave. Figures are None where the run failed; `failure` says why.

    `seconds` is the program's own time around its hot part; wall, user and system are the whole
    process's. With several processes (`Row.processes`) times, faults and switches are sums and
    `peak_rss_bytes` is the largest.
    """

    row: str
    arm: str
    round: int
    position: int
    ops: int | None = None
    seconds: float | None = None
    wall_seconds: float | None = None
    user_seconds: float | None = None
    system_seconds: float | None = None
    peak_rss_bytes: int | None = None
    minor_faults: int | None = None
    major_faults: int | None = None
    voluntary_switches: int | None = None
    involuntary_switches: int | None = None
    checksum: int | None = None
    failure: str | None = None


class Output(msgspec.Struct, frozen=True):
    """The JSON line a workload prints."""

    workload: str
    threads: int
    ops: int
    seconds: float
    ops_per_second: float
    checksum: int


class Held(NamedTuple):
    """A finished child: its line, and what /proc and wait4 said of it."""

    output: Output
    peak_rss_bytes: int
    wall_seconds: float
    usage: tuple[float, float, int, int, int, int]  # user, system, minor, major, voluntary, not


class MeasureError(Exception):
    """A process that cannot be counted; the text says in one line why."""


def measure(row: Row, peer: Peer, programs: Path, *, round_: int, position: int, arm: str) -> Run:
    """Run the row under the peer and return its figures, or the reason why there are none."""
    command = [str(programs / row.program), *row.arguments(), "--hold"]
    identity = {"row": row.name, "arm": arm, "round": round_, "position": position}
    try:
        held = [run_held(command, peer.library) for _ in range(row.processes)]
    except MeasureError as error:
        return Run(**identity, failure=str(error))  # type: ignore[arg-type]
    checksums = {one.output.checksum for one in held}
    if len(checksums) > 1:
        return Run(**identity, failure=f"checksums differ: {sorted(checksums)}")  # type: ignore[arg-type]
    usage = [sum(column) for column in zip(*(one.usage for one in held), strict=True)]
    return Run(
        **identity,  # type: ignore[arg-type]
        ops=sum(one.output.ops for one in held),
        seconds=sum(one.output.seconds for one in held),
        wall_seconds=sum(one.wall_seconds for one in held),
        user_seconds=usage[0],
        system_seconds=usage[1],
        peak_rss_bytes=max(one.peak_rss_bytes for one in held),
        minor_faults=int(usage[2]),
        major_faults=int(usage[3]),
        voluntary_switches=int(usage[4]),
        involuntary_switches=int(usage[5]),
        checksum=checksums.pop(),
    )


def run_held(
    command: Sequence[str],
    library: str | None,
    *,
    timeout_seconds: float = TIMEOUT_SECONDS,
    environment: Mapping[str, str] | None = None,
) -> Held:
    """Start the command with the library preloaded and see it through to its end.

    Raises MeasureError when it cannot be started, runs out of time, does not print its line, exits
    with anything but 0, or ran without the library.
    """
    # A file for stderr, not a pipe: whatever an allocator dumps at exit must not block the child.
    with tempfile.TemporaryFile() as stderr:
        return _run_held(
            command, library, timeout_seconds, _environment(library, environment), stderr
        )


def _run_held(
    command: Sequence[str],
    library: str | None,
    timeout_seconds: float,
    environment: Mapping[str, str],
    stderr: IO[bytes],
) -> Held:
    begin = time.monotonic()
    try:
        child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=environment,
        )
    except OSError as error:
        raise MeasureError(f"cannot start {command[0]}: {error.strerror}") from None
    with child:  # closes the pipes, whatever happens
        try:
            line = _read_line(child, begin + timeout_seconds)
            wall = time.monotonic() - begin
            maps, peak = _look_at(child.pid) if line else ("", 0)
            assert child.stdin is not None
            child.stdin.close()
            status, usage = _reap(child, begin + timeout_seconds)
        except BaseException:
            child.kill()
            raise
    complaint = _last_line(stderr)
    if status != 0:
        raise MeasureError(_describe_end(status, complaint))
    if not line:
        raise MeasureError(f"printed nothing{': ' + complaint if complaint else ''}")
    _check_preload(maps, library, complaint)
    return Held(_decode(line), peak, wall, usage)


def _environment(library: str | None, given: Mapping[str, str] | None) -> dict[str, str]:
    environment = dict(os.environ if given is None else given)
    environment.pop("LD_PRELOAD", None)
    if library is not None:
        environment["LD_PRELOAD"] = library
    return environment


def _read_line(child: subprocess.Popen[bytes], deadline: float) -> bytes:
    """The child's first line, or what it printed before it closed its output."""
    assert child.stdout is not None
    descriptor = child.stdout.fileno()
    line = b""
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        while not line.endswith(b"\n"):
            if not selector.select(max(0.0, deadline - time.monotonic())):
                child.kill()
                raise MeasureError("out of time; killed")
            chunk = os.read(descriptor, 65536)
            if not chunk:
                break
            line += chunk
    return line


def _look_at(pid: int) -> tuple[str, int]:
    """The maps of the held child, and its peak RSS (VmHWM, which the kernel gives in KiB)."""
    try:
        maps = Path(f"/proc/{pid}/maps").read_text(errors="replace")
        status = Path(f"/proc/{pid}/status").read_text(errors="replace")
    except OSError as error:
        raise MeasureError(f"cannot read /proc/{pid}: {error.strerror}") from None
    for entry in status.splitlines():
        if entry.startswith("VmHWM:"):
            return maps, int(entry.split()[1]) * 1024
    raise MeasureError("ended before its peak RSS could be read")


def _reap(
    child: subprocess.Popen[bytes], deadline: float
) -> tuple[int, tuple[float, float, int, int, int, int]]:
    """Wait for the child's end; kill it at the deadline. Status is as in `Popen.returncode`."""
    pidfd = os.pidfd_open(child.pid)
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(pidfd, selectors.EVENT_READ)
            if not selector.select(max(0.0, deadline - time.monotonic())):
                child.kill()
    finally:
        os.close(pidfd)
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    return child.returncode, (
        used.ru_utime,
        used.ru_stime,
        used.ru_minflt,
        used.ru_majflt,
        used.ru_nvcsw,
        used.ru_nivcsw,
    )


def _last_line(stderr: IO[bytes]) -> str:
    stderr.seek(0)
    lines = stderr.read().decode(errors="replace").strip().splitlines()
    return lines[-1][:200] if lines else ""


def _describe_end(status: int, complaint: str) -> str:
    end = f"exit status {status}" if status > 0 else f"killed by {_signal_name(-status)}"
    return f"{end}{': ' + complaint if complaint else ''}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _check_preload(maps: str, library: str | None, complaint: str) -> None:
    if library is not None and not _is_mapped(maps, library):
        raise MeasureError(
            f"the preload took no effect: {Path(library).name} is not in the child's maps"
            + (f" ({complaint})" if complaint else "")
        )


def _is_mapped(maps: str, library: str) -> bool:
    return any(line.endswith(f" {library}") for line in maps.splitlines())


def _decode(line: bytes) -> Output:
    try:
        return msgspec.json.decode(line, type=Output)
    except msgspec.DecodeError as error:
        raise MeasureError(f"its line is not a workload's: {error}") from None
