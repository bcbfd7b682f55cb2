"""Polls a source at an interval and hands out what it saw, until the target ends.

Used by every view that repeats. The clock is injected; waiting is done inside the source's
events(), so that events are taken up while time passes. Holds the last snapshot only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import msgspec

from hakmem_tools.model.snapshot import Event, Snapshot
from hakmem_tools.observe.source import Source, TargetGone


class Sample(msgspec.Struct, frozen=True):
    """One turn: the absolute snapshot, its difference to the one before, events in between.

    `delta` is None for the first one and across an exec. `final` marks the last counts of a
    target that has ended.
    """

    snapshot: Snapshot
    delta: Snapshot | None
    events: tuple[Event, ...] = ()
    final: bool = False


class Collector:
    """Samples of one source. `ended` says why the target is gone, once it is."""

    def __init__(
        self, source: Source, interval_s: float, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.ended: str | None = None
        self._source = source
        self._interval_s = interval_s
        self._clock = clock
        self._last: Snapshot | None = None

    def samples(self, count: int | None = None) -> Iterator[Sample]:
        """At most `count` samples: one at once, then one per interval, on a fixed grid.

        An interval of 0 takes them as fast as they come, as from a recording.

        Turns that a slow reader has missed are left out, not caught up. When the target ends,
        one final sample follows if its counts outlived it.
        """
        due = self._clock()
        given = 0
        while count is None or given < count:
            try:
                events = self._wait(due) if given else ()
                sample = self._sample(self._source.snapshot(), events)
            except TargetGone as gone:
                self.ended = str(gone)
                yield from self._final()
                return
            yield sample
            given += 1
            due = self._next(due)

    def _next(self, due: float) -> float:
        if self._interval_s == 0:
            return due
        missed = int((self._clock() - due) // self._interval_s)
        return due + self._interval_s * (1 + max(0, missed))

    def _wait(self, due: float) -> tuple[Event, ...]:
        events: list[Event] = []
        while (left := due - self._clock()) > 0:
            events.extend(self._source.events(left))
        events.extend(self._source.events(0))
        return tuple(events)

    def _sample(
        self, snapshot: Snapshot, events: tuple[Event, ...] = (), *, final: bool = False
    ) -> Sample:
        earlier, self._last = self._last, snapshot
        delta = snapshot.delta(earlier) if earlier and _same_run(earlier, snapshot) else None
        return Sample(snapshot=snapshot, delta=delta, events=events, final=final)

    def _final(self) -> Iterator[Sample]:
        take: Callable[[], Snapshot] | None = getattr(self._source, "final_snapshot", None)
        if take is None or self._last is None:
            return
        try:
            yield self._sample(take(), tuple(self._source.events(0)), final=True)
        except TargetGone:
            return


def _same_run(earlier: Snapshot, later: Snapshot) -> bool:
    """False across an exec, whose new page starts counting from zero."""
    return earlier.start_ns == later.start_ns and earlier.time_ns <= later.time_ns
