"""Conducts a recording: opens the source of a profile, writes a tick a second, ends in order.

Used by `hakmem profile` (record) and the terminal UI (open_profile). What is written is safe at
once; whatever ends this process, the file reads up to its last tick, and the kernel detaches.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import msgspec

from hakmem_tools.model.profile_records import (
    End,
    Header,
    Module,
    Record,
    Stack,
    Symbols,
    Tick,
)
from hakmem_tools.observe.counters import CountersSource
from hakmem_tools.observe.profile_header import complete_header, describe_process
from hakmem_tools.observe.profile_source import Paced, ProfileRequest, ProfileSource
from hakmem_tools.observe.recording import ProfileWriter
from hakmem_tools.observe.site_profile import SiteProfile
from hakmem_tools.observe.source import SourceUnavailable, TargetError, TargetGone
from hakmem_tools.observe.symbolise import Symboliser

_BPF_MODULE = "hakmem_tools.observe.bpf.profile_open"
_TURN_S = 0.1
#: Live blocks are looked at one by one, so not at each tick.
_LIVE_EVERY_S = 10.0


class Outcome(msgspec.Struct, frozen=True):
    """What a recording holds, for the one line that closes it. `overhead` is of wall time."""

    path: str
    reason: str
    duration_ns: int
    samples: int
    lost: int
    written_bytes: int
    overhead: float | None
    missing: tuple[str, ...]


def check_request(request: ProfileRequest) -> ProfileRequest:
    """The request with the way that works here: BPF, or the counters page's table of sites.

    Raises SourceUnavailable where only BPF would do.
    """
    if request.way != "auto":
        return request
    try:
        _bpf().check(request)
    except SourceUnavailable as reason:
        if request.allocator != "hakmem":
            raise
        return msgspec.structs.replace(request, way="sites", no_bpf=str(reason))
    return msgspec.structs.replace(request, way="bpf")


def open_profile(request: ProfileRequest) -> ProfileSource:
    """The profile source of a process; close it. Raises SourceUnavailable, TargetError, TargetGone.

    For BPF, a program that is held before its first instruction may be released afterwards.
    """
    request = check_request(request)
    if request.way == "sites":
        return SiteProfile(CountersSource(request.pid), request.no_bpf)
    source: ProfileSource = _bpf().open_bpf_profile(request)
    return source


def _bpf() -> Any:
    try:
        return importlib.import_module(_BPF_MODULE)
    except ModuleNotFoundError as error:
        raise SourceUnavailable(f"{error.name} is not installed") from None


def complete_started(
    source: ProfileSource, ended: Callable[[], bool], patience_s: float, budget: float
) -> Header:
    """The header, with what the page of a program tells that has just been released.

    From then on, listening keeps within its share. A program that ends or shows no page in time
    is described without.
    """
    deadline = time.monotonic() + patience_s
    fresh = describe_process(
        source.header.pid, source.header.allocator, source.header.sample_bytes, source.header.source
    )
    header = msgspec.structs.replace(fresh, start_ns=source.header.start_ns)
    while True:
        with suppress(TargetError, TargetGone):
            return _of_page(header, source, CountersSource(header.pid), budget)
        if ended() or time.monotonic() >= deadline:
            break
        time.sleep(0.002)
    return msgspec.structs.replace(
        header, missing=(*header.missing, "size classes and paths: no counters page was seen")
    )


def _of_page(header: Header, source: ProfileSource, page: CountersSource, budget: float) -> Header:
    with ExitStack() as stack:
        stack.push(page)
        completed = complete_header(header, page)
        if isinstance(source, Paced):
            stack.pop_all()
            source.keep_pace(page, budget)
        return completed


class Recorder:
    """Writes what a source tells into a file. Close it, or use it as a context manager."""

    def __init__(
        self,
        source: ProfileSource,
        path: Path,
        header: Header,
        *,
        overwrite: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raises FileExistsError unless `overwrite`, and other OSErrors."""
        self._source, self._clock = source, clock
        self._writer = ProfileWriter(path, header, overwrite=overwrite)
        self._start = clock()
        self.header = header
        self.samples = self.lost = 0
        self._modules: dict[int, Module] = {}
        self._unnamed: dict[tuple[int, int], None] = {}

    def run(
        self,
        *,
        ended: Callable[[], bool],
        stopped: Callable[[], bool] = lambda: False,
        seconds: float | None = None,
        interval_s: float = 1.0,
    ) -> Outcome:
        """Records until the target has ended, `seconds` are over, or `stopped`; then ends it."""
        next_tick = next_live = self._start
        while (reason := self._reason(ended, stopped, seconds)) is None:
            now = self._clock()
            if now >= next_tick:
                # The first tick comes at once: a short program may not live for another.
                self._tick(live=now >= next_live)
                next_live = now + _LIVE_EVERY_S if now >= next_live else next_live
                # Looking must not become the work, however much there is to look at.
                next_tick = now + max(interval_s, 20 * (self._clock() - now))
            left = seconds - (self._clock() - self._start) if seconds is not None else _TURN_S
            self._source.wait(min(_TURN_S, max(0.0, left), max(0.0, next_tick - self._clock())))
        return self._end(reason)

    def _reason(
        self, ended: Callable[[], bool], stopped: Callable[[], bool], seconds: float | None
    ) -> str | None:
        if ended():
            return "the target ended"
        if stopped():
            return "stopped"
        if seconds is not None and self._clock() - self._start >= seconds:
            return "the time was over"
        return None

    def _tick(self, *, live: bool) -> None:
        self._write(list(self._source.poll(live=live)))
        if live:
            self._embed_names()

    def _write(self, records: list[Record]) -> None:
        for record in records:
            if isinstance(record, Tick):
                self.samples += sum(row[2] for row in record.allocated.unpack())
                self.lost += sum(record.lost.values())
            elif isinstance(record, Module):
                self._modules[record.id] = record
            elif isinstance(record, Stack):
                self._unnamed.update(dict.fromkeys(filter(self._passes_away, record.places())))
        if records:
            self._writer.write(records)

    def _passes_away(self, place: tuple[int, int]) -> bool:
        """Whether a place's name goes with the process: JIT code, or a file that is deleted or
        that only the process sees.
        """
        module = self._modules.get(place[0])
        return module is None or module.deleted or module.root != ""

    def _embed_names(self) -> None:
        """Writes the names that nobody could find later."""
        if self._unnamed:
            with Symboliser(self._modules, pid=self.header.pid) as symboliser:
                found = symboliser.resolve(self._unnamed)
            self._unnamed.clear()
            self._writer.write([Symbols(*place, frames) for place, frames in found.items()])

    def _end(self, reason: str) -> Outcome:
        records, end = self._source.end(reason)
        self._write(list(records))
        self._embed_names()
        self._writer.close(end)
        duration_ns = end.time_ns - self.header.start_ns
        return Outcome(
            path=str(self._writer.path),
            reason=reason,
            duration_ns=duration_ns,
            samples=self.samples,
            lost=self.lost,
            written_bytes=self._writer.written_bytes,
            overhead=_share(end, duration_ns),
            missing=tuple(dict.fromkeys((*self.header.missing, *end.missing))),
        )

    def close(self) -> None:
        """Closes the file as it is; may be called twice."""
        self._writer.close()

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _share(end: End, duration_ns: int) -> float | None:
    return None if end.overhead_ns is None else end.overhead_ns / max(1, duration_ns)
