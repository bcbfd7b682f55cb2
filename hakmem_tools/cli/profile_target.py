"""The target of `hakmem profile`: under our library and knobs, or on the allocator it has."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from hakmem_tools.cli.errors import Failure
from hakmem_tools.cli.target_options import OpenTarget, TargetSpec, ending_with_us, open_target

if TYPE_CHECKING:
    from hakmem_tools.observe.profile_source import ProfileRequest, ProfileSource
    from hakmem_tools.observe.profiler import Outcome

_PAGE_PATIENCE_S = 2.0
_LEAST_SAMPLE_BYTES, _MOST_SAMPLE_BYTES = 1, 1 << 40


def check_sample_bytes(request: ProfileRequest) -> None:
    """Raises Failure for a distance out of range."""
    if request.sample_bytes is None:
        return
    if not _LEAST_SAMPLE_BYTES <= request.sample_bytes <= _MOST_SAMPLE_BYTES:
        raise Failure(
            f"--sample-bytes {request.sample_bytes}: must be {_LEAST_SAMPLE_BYTES} to "
            f"{_MOST_SAMPLE_BYTES}"
        )


@contextmanager
def open_profiled(target: TargetSpec, request: ProfileRequest) -> Iterator[OpenTarget]:
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
    """A program with the allocator that it brings along."""
    from hakmem_tools.observe.target import launch

    if target.mode is not None or target.settings or target.lib is not None:
        raise click.UsageError("--mode, --set and --lib are for libhakmem, not --allocator any")
    stdout_to_stderr = {1: sys.stderr.fileno()}
    with ending_with_us(
        launch(target.command, os.environ, redirect=stdout_to_stderr, hold=True)
    ) as opened:
        yield opened


def record_profile(
    opened: OpenTarget,
    request: ProfileRequest,
    file: Path,
    force: bool,
    stopped: Callable[[], bool],
    seconds: float | None,
    interval: float,
) -> Outcome:
    """Attaches, lets a held program go, and records to the end of it all."""
    from hakmem_tools.observe.profiler import Recorder, complete_started, open_profile
    from hakmem_tools.observe.target import await_page

    request = msgspec.structs.replace(request, pid=opened.pid)
    ended = _ended(opened)
    if opened.launched is not None and request.way == "sites":
        opened.launched.release()
        await_page(opened.launched).close()
    with _attached(opened, request, open_profile) as source:
        header = source.header
        if opened.launched is not None and (request.allocator, request.way) == ("hakmem", "bpf"):
            opened.launched.release()
            header = complete_started(source, ended, _PAGE_PATIENCE_S, request.budget)
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
