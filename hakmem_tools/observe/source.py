"""The protocol between what can be observed and those who show it.

Two sources exist: the counters page (no privilege) and BPF, which adds events and stacks
to what the page holds. A view works with either, and shows `missing` in one line.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from hakmem_tools.model.snapshot import Event, Snapshot


class TargetGone(Exception):
    """The watched process has ended; what was read before stays valid."""


class SourceUnavailable(Exception):
    """This way of observing does not work here; the message says why, in one sentence."""


class TargetError(Exception):
    """A process cannot be watched; the message says why and what to do next, in one line."""


class NoSuchProcess(TargetError):
    """There is no process with this id (or it ended before it could be opened)."""


class NotPermitted(TargetError):
    """The process belongs to somebody else."""


class NoPage(TargetError):
    """The process runs, but shows no counters page of a version that this tool reads."""


class Source(Protocol):
    """Where Snapshots and Events of one process come from. Used by one thread at a time."""

    name: str  # "bpf" or "counters"
    missing: tuple[str, ...]  # one sentence for each thing it cannot tell, with the reason

    def snapshot(self) -> Snapshot:
        """Absolute counters now. Raises TargetGone."""

    def events(self, timeout_s: float) -> Sequence[Event]:
        """Events since the last call; waits at most `timeout_s` for the first. May be empty."""

    def close(self) -> None:
        """Detaches everything; may be called twice."""
