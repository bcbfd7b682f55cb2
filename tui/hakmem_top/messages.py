"""What the poller, the profile's sampler and the sweep tell the app.

Frozen facts; the app's thread alone acts on them.
"""

from __future__ import annotations

from collections.abc import Sequence

from textual.message import Message

from hakmem_tools.model.snapshot import Event, Snapshot
from hakmem_top.profile.sampler import Sampled
from hakmem_top.sweep.desk import Told


class SourceOpened(Message):
    """The source is attached; `missing` is what it cannot tell."""

    def __init__(self, name: str, missing: Sequence[str]) -> None:
        super().__init__()
        self.name = name
        self.missing = tuple(missing)


class SnapshotTaken(Message):
    """Counters were read."""

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__()
        self.snapshot = snapshot


class EventsSeen(Message):
    """Events came, oldest first; never empty."""

    def __init__(self, events: Sequence[Event]) -> None:
        super().__init__()
        self.events = tuple(events)


class TargetEnded(Message):
    """The watched process has gone, for this reason. Nothing follows."""

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.reason = reason


class SourceFailed(Message):
    """The source broke; `opening` says that it never came up. Nothing follows."""

    def __init__(self, error: Exception, opening: bool) -> None:
        super().__init__()
        self.error = error
        self.opening = opening


class SitesSampled(Message):
    """A profile's sampler said something."""

    def __init__(self, sampled: Sampled) -> None:
        super().__init__()
        self.sampled = sampled


class SweepTold(Message):
    """A sweep's session said something."""

    def __init__(self, told: Told) -> None:
        super().__init__()
        self.told = told
