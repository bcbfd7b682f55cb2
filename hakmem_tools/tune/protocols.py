"""Where libhakmem's own tables and counters plug into the tuning way.

The experiment and the runner take these from outside; without them everything works except what
only the library can tell. Nothing here is implemented by the tuning way itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol


class KnobRange(Protocol):
    """One knob as the library describes it; `minimum` and `maximum` are None when it has none."""

    @property
    def env(self) -> str:
        """Its environment variable."""

    @property
    def aliases(self) -> Sequence[str]:
        """Older names that still work."""

    @property
    def default(self) -> str:
        """Its default as text."""

    @property
    def minimum(self) -> float | None:
        """Smallest value allowed."""

    @property
    def maximum(self) -> float | None:
        """Largest value allowed."""

    @property
    def choices(self) -> Sequence[str]:
        """The values allowed for an enumeration, else empty."""


class KnobSpace(Protocol):
    """The library's knobs, and what a process really runs with."""

    def knobs(self) -> Sequence[KnobRange]:
        """Every knob of the library."""

    def effective(self, env: Mapping[str, str]) -> Mapping[str, str]:
        """Values in force in a process of that environment, by environment variable."""


class CountersReader(Protocol):
    """Reads the counters page of a running process."""

    def read(self, pid: int) -> Mapping[str, float] | None:
        """All counters by name, or None while the process has no page."""
