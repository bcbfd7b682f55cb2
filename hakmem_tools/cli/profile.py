"""`hakmem profile`: records where allocations come from, of a process or a program it starts."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from hakmem_tools.cli.errors import DONE, Failure, say
from hakmem_tools.cli.interrupt import asked_to_stop
from hakmem_tools.cli.output import human_bytes, print_json
from hakmem_tools.cli.target_options import (
    CONTEXT,
    OpenTarget,
    TargetSpec,
    open_target,
    positive,
    target_options,
)

if TYPE_CHECKING:
    from hakmem_tools.observe.profile_source import ProfileRequest, ProfileSource
    from hakmem_tools.observe.profiler import Outcome

_PAGE_PATIENCE_S = 2.0
_LEAST_SAMPLE_BYTES, _MOST_SAMPLE_BYTES = 1, 1 << 40


@click.command(context_settings=CONTEXT)
@click.option("-o", "path", metavar="FILE", help="Record there (hakmem-PID.hakprof).")
@click.option("--force", is_flag=True, help="Overwrite FILE.")
@click.option("-d", "seconds", type=float, metavar="SECONDS", help="Stop after this long.")
@click.option("-i", "interval", type=float, default=1.0, metavar="SECONDS", help="Between ticks.")
@click.option("--sample-bytes", type=int, metavar="BYTES", help="Mean distance of two samples.")
@click.option(
    "--allocator",
    type=click.Choice(["hakmem", "any"]),
    default="hakmem",
    help="Any: uprobes on whatever allocator the process has.",
)
@click.option(
    "--max-overhead",
    type=float,
    default=3.0,
    metavar="PERCENT",
    help="Of the target's time, with --allocator any.",
)
@click.option("--no-faults", is_flag=True, help="Leave page faults out.")
@click.option("--json", "as_json", is_flag=True, help="Print what was recorded as a JSON line.")
@target_options
def command(
    target: TargetSpec,
    path: str | None,
    force: bool,
    seconds: float | None,
    interval: float,
    sample_bytes: int | None,
    allocator: str,
    max_overhead: float,
    no_faults: bool,
    as_json: bool,
) -> int:
    """Record the call sites of -p PID, or of -- COMMAND from its first instruction on.

    Sampled allocations are added up by stack, thread, size class and path, and joined with
    their frees. Ctrl-C finishes the file and leaves the target running. `hakmem report` reads it.
    """
    from hakmem_tools.observe.profile_source import ProfileRequest
    from hakmem_tools.observe.profiler import check_request

    positive("-d", 1 if seconds is None else seconds)
    positive("-i", interval)
    positive("--max-overhead", max_overhead)
    request = ProfileRequest(
        pid=target.pid or 0,
        allocator=allocator,
        sample_bytes=sample_bytes,
        budget=max_overhead / 100,
        faults=not no_faults,
        lib=target.lib,
        started=bool(target.command),
    )
    _check_sample_bytes(request)
    if path is not None:
        check_path(path, force)
    check_request(request)  # no privilege is told before anything starts
    with _open(target, request) as opened, asked_to_stop() as stopped:
        file = Path(path if path is not None else f"hakmem-{opened.pid}.hakprof")
        check_path(str(file), force)
        outcome = _record(opened, request, file, force, stopped, seconds, interval)
        _tell(outcome, as_json)
        if stopped():
            raise KeyboardInterrupt
    return DONE


def _check_sample_bytes(request: ProfileRequest) -> None:
    if request.sample_bytes is None:
        return
    if not _LEAST_SAMPLE_BYTES <= request.sample_bytes <= _MOST_SAMPLE_BYTES:
        raise Failure(
            f"--sample-bytes {request.sample_bytes}: must be {_LEAST_SAMPLE_BYTES} to "
            f"{_MOST_SAMPLE_BYTES}"
        )
    if request.pid and request.allocator == "hakmem":
        raise Failure(
            f"--sample-bytes {request.sample_bytes}: a running process samples at its own "
            "distance; set its knob HAKMEM_SAMPLE_BYTES, or start the program with -- COMMAND"
        )


def check_path(path: str, force: bool) -> None:
    """Raises Failure for a file that exists (unless forced) or cannot be written."""
    if os.path.exists(path) and not force:
        raise Failure(f"-o {path}: the file exists; --force overwrites it")
    directory = os.path.dirname(os.path.abspath(path))
    if os.path.isdir(path) or not os.access(directory, os.W_OK | os.X_OK):
        raise Failure(f"-o {path}: no file can be written there")


@contextmanager
def _open(target: TargetSpec, request: ProfileRequest) -> Iterator[OpenTarget]:
    """The target: with our library and knobs, or as it is."""
    if request.allocator == "any" and target.command:
        with _started_as_it_is(target) as opened:
            yield opened
        return
    if request.sample_bytes is not None:
        wanted = f"HAKMEM_SAMPLE_BYTES={request.sample_bytes}"
        target = msgspec.structs.replace(target, settings=(*target.settings, wanted))
    with open_target(target, hold=True) as opened:
        yield opened


@contextmanager
def _started_as_it_is(target: TargetSpec) -> Iterator[OpenTarget]:
    """A program with the allocator that it brings along; it ends with us, save on Ctrl-C."""
    from hakmem_tools.observe.target import launch

    if target.mode is not None or target.settings or target.lib is not None:
        raise click.UsageError("--mode, --set and --lib are for libhakmem, not --allocator any")
    launched = launch(target.command, os.environ, redirect={1: sys.stderr.fileno()}, hold=True)
    try:
        yield OpenTarget(launched.pid, launched)
    except KeyboardInterrupt:
        if launched.poll() is None:
            say(f"{launched.command} (pid {launched.pid}) goes on")
        raise
    except BaseException:
        launched.end()
        raise
    if launched.poll() is None:
        launched.end()
        say(f"{launched.command} (pid {launched.pid}) ended, since this command started it")


def _record(
    opened: OpenTarget,
    request: ProfileRequest,
    file: Path,
    force: bool,
    stopped: Callable[[], bool],
    seconds: float | None,
    interval: float,
) -> Outcome:
    from hakmem_tools.observe.profiler import Recorder, complete_started, open_profile

    request = msgspec.structs.replace(request, pid=opened.pid)
    ended = _ended(opened)
    with _attached(opened, request, open_profile) as source:
        header = source.header
        if opened.launched is not None and request.allocator == "hakmem":
            opened.launched.release()
            header = complete_started(source, ended, _PAGE_PATIENCE_S)
        with Recorder(source, file, header, overwrite=force) as recorder:
            return recorder.run(ended=ended, stopped=stopped, seconds=seconds, interval_s=interval)


@contextmanager
def _attached(
    opened: OpenTarget,
    request: ProfileRequest,
    open_profile: Callable[[ProfileRequest], ProfileSource],
) -> Iterator[ProfileSource]:
    """A foreign allocator is found in the maps, so the program must run before."""
    if opened.launched is not None and request.allocator == "any":
        opened.launched.release()
    source = open_profile(request)
    try:
        yield source
    finally:
        source.close()


def _ended(opened: OpenTarget) -> Callable[[], bool]:
    from hakmem_tools.observe.proc import Process

    if opened.launched is not None:
        return lambda: opened.launched.poll() is not None
    process = Process(opened.pid)
    return lambda: not process.is_alive()


def _tell(outcome: Outcome, as_json: bool) -> None:
    if as_json:
        print_json(msgspec.to_builtins(outcome))
    for sentence in outcome.missing:
        say(f"missing: {sentence}")
    cost = "" if outcome.overhead is None else f", about {outcome.overhead:.2%} of one CPU's time"
    lost = f", {outcome.lost} lost" if outcome.lost else ""
    say(
        f"{outcome.path}: {outcome.samples} samples{lost} in {outcome.duration_ns / 1e9:.1f} s "
        f"({outcome.reason}), {human_bytes(outcome.written_bytes)}{cost}; "
        f"`hakmem report {outcome.path}` reads it"
    )
