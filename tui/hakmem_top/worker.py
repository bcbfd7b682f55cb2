"""The thread that polls a Source and posts what it finds.

Owned by the app, which runs `Poller.run` as a Textual thread worker. The source is made, read
and closed in that one thread, so it needs no locks; closing it happens in every case, because
that is what detaches the probes. It is not the collector of hakmem_tools, because a quit or
a new interval must not wait for the current one to pass.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

from textual.message import Message

from hakmem_tools.model.snapshot import Snapshot
from hakmem_tools.observe.source import Source, TargetGone
from hakmem_top.messages import (
    EventsSeen,
    SnapshotTaken,
    SourceFailed,
    SourceOpened,
    TargetEnded,
)

#: The longest that a stop or a new interval waits for the source to come back, in seconds.
SLICE_S = 0.1


class Pace(Protocol):
    """Where the poller's time comes from."""

    def now(self) -> float:
        """Seconds on a clock that only goes forward."""

    def wait(self, wake: threading.Event, seconds: float) -> None:
        """Lets time pass, at most until `wake` is set."""


class RealPace:
    """The machine's monotonic clock."""

    def now(self) -> float:
        """See Pace."""
        return time.monotonic()

    def wait(self, wake: threading.Event, seconds: float) -> None:
        """See Pace."""
        wake.wait(seconds)


class Poller:
    """Polls one source until it is stopped, the target goes, or the source breaks."""

    def __init__(
        self,
        make_source: Callable[[], Source],
        interval_s: float,
        post: Callable[[Message], object],
        pace: Pace | None = None,
    ) -> None:
        self._make_source = make_source
        self._post = post
        self._pace = pace or RealPace()
        self._wake = threading.Event()
        self._stopped = False
        self._interval_s = interval_s

    def stop(self) -> None:
        """Asks the thread to close the source and return; any thread may call it."""
        self._stopped = True
        self._wake.set()

    def set_interval(self, interval_s: float) -> None:
        """Takes effect at once: the current wait is cut or prolonged."""
        self._interval_s = interval_s
        self._wake.set()

    def run(self) -> None:
        """The thread's body."""
        try:
            source = self._make_source()
        except Exception as error:  # whatever it is, `run()` hands it to the caller
            self._post(SourceFailed(error, opening=True))
            return
        try:
            self._post(SourceOpened(source.name, source.missing))
            self._poll(source)
        except TargetGone as gone:
            self._post_last(source)
            self._post(TargetEnded(str(gone)))
        except Exception as error:  # shown in the banner; what was seen stays
            self._post(SourceFailed(error, opening=False))
        finally:
            source.close()

    def _poll(self, source: Source) -> None:
        """One snapshot each interval, and events as they come in between."""
        while not self._stopped:
            taken_at = self._pace.now()
            self._post(SnapshotTaken(source.snapshot()))
            while not self._stopped:
                left = taken_at + self._interval_s - self._pace.now()
                if left <= 0:
                    break
                self._collect(source, min(left, SLICE_S))

    def _post_last(self, source: Source) -> None:
        """The counts that outlived the target, where the source can still read them."""
        take: Callable[[], Snapshot] | None = getattr(source, "final_snapshot", None)
        try:
            if take is not None:
                self._post(SnapshotTaken(take()))
            if events := source.events(0):
                self._post(EventsSeen(events))
        except (TargetGone, OSError):
            return  # they went with it

    def _collect(self, source: Source, seconds: float) -> None:
        """Events of one slice of time; a source without events returns at once, so wait here."""
        began = self._pace.now()
        events = source.events(seconds)
        if events:
            self._post(EventsSeen(events))
        rest = seconds - (self._pace.now() - began)
        if rest > 0 and not self._stopped:
            self._wake.clear()
            if not self._stopped:
                self._pace.wait(self._wake, rest)
