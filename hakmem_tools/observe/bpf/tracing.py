"""A trace: chosen events of one target, one after the other, and a summary whose counts are exact.

Used by `hakmem trace`. Chooses and opens; what an event looks like on a line is the model's
business, and what a terminal sees the command's.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator

import msgspec

from hakmem_tools.model.descriptors import Descriptors
from hakmem_tools.model.event_choice import choose_events
from hakmem_tools.model.snapshot import Event
from hakmem_tools.native.header import LibraryNotFound
from hakmem_tools.native.library import open_library
from hakmem_tools.observe.bpf.accounts import Accounts
from hakmem_tools.observe.bpf.generate import Purpose
from hakmem_tools.observe.bpf.library import LibraryFile, open_library_file, open_mapped_library
from hakmem_tools.observe.bpf.loader import import_bcc
from hakmem_tools.observe.bpf.mapping_log import MappingLog
from hakmem_tools.observe.bpf.namespace import own_namespace
from hakmem_tools.observe.bpf.privilege import check_privilege
from hakmem_tools.observe.bpf.watch import Watch
from hakmem_tools.observe.counters import CountersSource
from hakmem_tools.observe.source import NoPage, SourceUnavailable
from hakmem_tools.observe.symbols import Frame, ProcessSymbols

_TURN_S = 0.05
#: Processes whose symbols are kept at hand: each holds an open directory.
_PROCESSES = 64


class TracedEvent(msgspec.Struct, frozen=True):
    """An event with its frames, innermost first; None without stacks."""

    event: Event
    frames: tuple[Frame, ...] | None = None
    truncated: bool = False


class TraceRequest(msgspec.Struct, frozen=True):
    """What somebody wants to see: events by name, of a program that is `started` or one that
    runs, under the library at `lib` (None: ours).
    """

    wanted: str | None
    lib: str | None
    started: bool
    stacks: bool = False
    children: bool = False

    def check(self) -> None:
        """What can be told before anything starts: no privilege, no bcc, a wrong event name.

        A running process may have another library with other names: it is asked later. Raises
        SourceUnavailable, UnknownEvent, LibraryNotFound.
        """
        if self.started:
            choose_events(self.wanted, open_library(self.lib).descriptors)
        check_privilege()
        import_bcc()


class Trace:
    """One attached trace. Close it, or use it as a context manager."""

    def __init__(
        self, library: LibraryFile, descriptors: Descriptors, pid: int, request: TraceRequest
    ) -> None:
        """Attaches to `pid`. Raises SourceUnavailable, UnknownEvent, TargetGone."""
        self._names = choose_events(request.wanted, descriptors)
        purpose = Purpose(
            counted=frozenset(),
            streamed=self._names,
            pid=pid,
            children=request.children,
            stacks=request.stacks,
            namespace=own_namespace(),
        )
        self.shown = 0
        self.watch = Watch(library, descriptors, purpose)
        self.start_ns = self.end_ns = self.watch.start_ns
        self._symbols: dict[int, ProcessSymbols] = {}
        self._library_name = os.path.basename(os.path.realpath(library.name))
        self._mappings = _mapping_log(pid) if request.started else None

    def batches(
        self,
        *,
        ended: Callable[[], bool],
        stopped: Callable[[], bool] = lambda: False,
        seconds: float | None = None,
        count: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> Iterator[list[TracedEvent]]:
        """Events as they come, until the target has ended, `seconds` or `count` are over, or
        `stopped`. Detaches then; what lay in the ring at that moment still comes, up to `count`.
        """
        deadline = None if seconds is None else clock() + seconds
        while True:
            # Asked before the ring is read: what the target did before its end is in it.
            last = ended() or stopped() or (deadline is not None and clock() >= deadline)
            if last:
                self.watch.detach()
            left_s = _TURN_S if deadline is None else min(_TURN_S, max(0, deadline - clock()))
            found = self.watch.events(0 if last else left_s)
            if self._mappings is not None:
                self._mappings.take()
            batch = [self._told(event) for event in found[: self._room(count)]]
            self.shown += len(batch)
            if batch:
                yield batch
            if last or self._room(count) == 0:
                return

    def _room(self, count: int | None) -> int | None:
        return None if count is None else count - self.shown

    def finish(self) -> Accounts:
        """Detaches; the exact counts, what was lost, and the cost."""
        accounts = self.watch.detach()
        self.end_ns = max(self.end_ns, time.monotonic_ns())
        return accounts

    @property
    def missing(self) -> tuple[str, ...]:
        """One sentence for each thing that this trace could not tell."""
        lost = self._mappings.lost if self._mappings is not None else 0
        told = (f"modules of stacks: {lost} mappings were made faster than noted",) if lost else ()
        return self.watch.missing + told

    @property
    def library_ran(self) -> bool:
        """False when a program that we started has certainly never mapped the library."""
        if self._mappings is None or any(self.watch.accounts().counts.values()):
            return True
        return self._mappings.has_mapped(self._library_name) or self._mappings.lost > 0

    def close(self) -> None:
        """Detaches; may be called twice."""
        self.watch.close()
        if self._mappings is not None:
            self._mappings.close()
        for symbols in self._symbols.values():
            symbols.close()
        self._symbols.clear()

    def __enter__(self) -> Trace:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _told(self, event: Event) -> TracedEvent:
        if not self.watch.purpose.stacks:
            return TracedEvent(event)
        frames, truncated = self._symbols_of(event.pid).stack(event.stack)
        return TracedEvent(event, frames, truncated or event.truncated)

    def _symbols_of(self, pid: int) -> ProcessSymbols:
        if pid not in self._symbols:
            while len(self._symbols) >= _PROCESSES:
                self._symbols.pop(next(iter(self._symbols))).close()
            remembered = self._mappings.mappings if self._mappings is not None else None
            self._symbols[pid] = ProcessSymbols(pid, remembered)
        return self._symbols[pid]


def open_trace(pid: int, request: TraceRequest) -> Trace:
    """Attaches to a process: a running one, or one that we have started and still hold.

    Raises SourceUnavailable, UnknownEvent, TargetError, TargetGone.
    """
    library, descriptors = _library_of(pid, request)
    with library:
        return Trace(library, descriptors, pid, request)


def _mapping_log(pid: int) -> MappingLog | None:
    """None where perf is not allowed: then only what still runs can be looked into."""
    try:
        return MappingLog(pid)
    except OSError:
        return None


def _library_of(pid: int, request: TraceRequest) -> tuple[LibraryFile, Descriptors]:
    """The library that a process maps, or will map, and its tables.

    These come from the counters page; for a process without one, from our own library if it is
    the same build.
    """
    if request.started:
        own = open_library(request.lib)
        return open_library_file(own.path), own.descriptors
    try:
        with CountersSource(pid) as page:
            return open_mapped_library(pid), page.descriptors
    except NoPage as reason:
        library = open_mapped_library(pid)
        try:
            own = open_library(request.lib)
            with open_library_file(own.path) as ours:
                if ours.build_id == library.build_id is not None:
                    return library, own.descriptors
        except LibraryNotFound:
            pass
        library.close()
        raise SourceUnavailable(
            f"{reason}, and its library is not the build that hakmem brings along"
        ) from None
