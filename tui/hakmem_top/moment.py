"""What the screens show at one moment, and the watch that gathers it.

The app owns one Watch, feeds it what the poller posts, and hands its Moment to the screen in
front. Pure: no Textual, no clock (time comes with the snapshots), no I/O. It works out no
figures; that is present.py.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import msgspec

from hakmem_tools.model.snapshot import Event, Snapshot

#: Samples kept for charts: ten minutes at one a second, wider than any screen.
HISTORY_LIMIT = 600

#: Events kept for the log; older ones are dropped and counted in `events_seen`.
EVENT_LIMIT = 2000

ATTACHING, LIVE, PAUSED, ENDED, FAILED = "attaching", "live", "paused", "ended", "failed"


class Sample(msgspec.Struct, frozen=True):
    """One point of the charts. Bytes are absolute; rates are None for the first sample."""

    time_ns: int
    live_bytes: int
    mapped_bytes: int | None
    rss_bytes: int | None
    rates: dict[str, float]
    class_live: dict[int, int]
    class_mapped: dict[int, int]


class Moment(msgspec.Struct, frozen=True):
    """Everything a screen needs: frozen, so that a paused screen keeps what it shows.

    `delta` is the change over the last interval, None before the second snapshot. `since` is
    what happened since the user's last reset, or all that ever happened when there was none.
    """

    title: str
    state: str = ATTACHING
    state_reason: str = ""
    interval_s: float = 1.0
    snapshot: Snapshot | None = None
    delta: Snapshot | None = None
    baseline: Snapshot | None = None
    since: Snapshot | None = None
    was_reset: bool = False
    history: tuple[Sample, ...] = ()
    events: tuple[Event, ...] = ()
    events_seen: int = 0
    missing: tuple[str, ...] = ()

    @property
    def watched_s(self) -> float:
        """Seconds between the first and the last snapshot seen."""
        if not self.history:
            return 0.0
        return (self.history[-1].time_ns - self.history[0].time_ns) / 1e9

    @property
    def since_s(self) -> float:
        """Seconds since the baseline was taken."""
        if self.snapshot is None or self.baseline is None:
            return 0.0
        return (self.snapshot.time_ns - self.baseline.time_ns) / 1e9


class Watch:
    """Gathers snapshots and events into Moments. Used by the app's own thread only."""

    def __init__(self, title: str, interval_s: float) -> None:
        self._title = title
        self._interval_s = interval_s
        self._state, self._reason = ATTACHING, ""
        self._snapshot: Snapshot | None = None
        self._delta: Snapshot | None = None
        self._baseline: Snapshot | None = None
        self._was_reset = False
        self._history: deque[Sample] = deque(maxlen=HISTORY_LIMIT)
        self._events: deque[Event] = deque(maxlen=EVENT_LIMIT)
        self._events_seen = 0
        self._events_fresh = False
        self._missing: tuple[str, ...] = ()
        self._frozen: Moment | None = None

    def attached(self, missing: tuple[str, ...]) -> None:
        """The source is open; `missing` is what it cannot tell."""
        self._state, self._missing = LIVE, missing

    def receive(self, snapshot: Snapshot) -> bool:
        """Takes a snapshot in; gives whether there is something new to show.

        A snapshot with the time of the last one is the last one again, as at a recording's end.
        """
        last, fresh = self._snapshot, self._events_fresh
        self._events_fresh = False
        if last is not None and snapshot.time_ns == last.time_ns:
            return fresh
        if last is not None and self._started_anew(last, snapshot):
            last = self._baseline = None
            self._was_reset = False
        self._state = LIVE
        self._delta = None if last is None else snapshot.delta(last)
        self._snapshot = snapshot
        if self._baseline is None:
            self._baseline = snapshot
        self._history.append(_sample(snapshot, self._delta))
        return True

    @staticmethod
    def _started_anew(last: Snapshot, now: Snapshot) -> bool:
        """Whether the counters began again: another process, or the same pid after an exec."""
        if now.pid != last.pid or now.time_ns < last.time_ns:
            return True
        return now.start_ns != last.start_ns

    def receive_events(self, events: Sequence[Event]) -> None:
        """Takes events in, oldest first."""
        self._events.extend(events)
        self._events_seen += len(events)
        self._events_fresh = True

    def ended(self, reason: str) -> None:
        """The target has gone; what was seen stays."""
        self._state, self._reason = ENDED, reason

    def failed(self, reason: str) -> None:
        """The source broke; what was seen stays."""
        self._state, self._reason = FAILED, reason

    def reset(self) -> None:
        """Counts growth and shares from now on; a pause ends, so that it is seen."""
        self._frozen = None
        if self._snapshot is not None:
            self._baseline, self._was_reset = self._snapshot, True

    def set_interval(self, interval_s: float) -> None:
        """Notes the interval that the header shows."""
        self._interval_s = interval_s

    @property
    def paused(self) -> bool:
        """Whether what is shown stands still."""
        return self._frozen is not None

    def toggle_pause(self) -> None:
        """Freezes what is shown, or lets it go on; reading goes on in either case."""
        self._frozen = self._newest() if self._frozen is None else None

    def moment(self) -> Moment:
        """What there is to show: the newest, or what it was when the pause began.

        The end of the target, a failure and the interval are told in a pause too.
        """
        if self._frozen is None:
            return self._newest()
        state = self._state if self._state in (ENDED, FAILED) else PAUSED
        return msgspec.structs.replace(
            self._frozen, state=state, state_reason=self._reason, interval_s=self._interval_s
        )

    def _newest(self) -> Moment:
        snapshot, since = self._snapshot, self._snapshot
        if snapshot is not None and self._was_reset and self._baseline is not None:
            since = snapshot.delta(self._baseline)
        missing = snapshot.missing if snapshot is not None else ()
        return Moment(
            title=self._title,
            state=self._state,
            state_reason=self._reason,
            interval_s=self._interval_s,
            snapshot=snapshot,
            delta=self._delta,
            baseline=self._baseline,
            since=since,
            was_reset=self._was_reset,
            history=tuple(self._history),
            events=tuple(self._events),
            events_seen=self._events_seen,
            missing=tuple(dict.fromkeys((*missing, *self._missing))),
        )


def _sample(snapshot: Snapshot, delta: Snapshot | None) -> Sample:
    """One point for the charts."""
    rates: dict[str, float] = {}
    if delta is not None and delta.interval_ns:
        names = dict.fromkeys(name for row in delta.classes for name in row.counts)
        for name in (*delta.scalars, *names):
            rate = delta.rate(name)
            if rate is not None:
                rates[name] = max(0.0, rate)
    return Sample(
        time_ns=snapshot.time_ns,
        live_bytes=snapshot.live_bytes,
        mapped_bytes=snapshot.scalars.get("mapped_bytes"),
        rss_bytes=snapshot.rss_bytes,
        rates=rates,
        class_live={row.index: row.live_bytes for row in snapshot.classes},
        class_mapped={row.index: row.mapped_bytes for row in snapshot.classes},
    )
